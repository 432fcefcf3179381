//! The transparency log of a project through the API of a running platform.

use std::path::Path;

use async_trait::async_trait;
use http::Request;
use serde_json::Value;
use streamio_core::audit::checkpoint::Checkpoint;
use streamio_core::audit::comparison::compare;
use streamio_core::audit::note::{SignedNote, VerifierKey};
use streamio_core::audit::proofs::{TlogProof, consistency};
use streamio_core::audit::tiles::Tile;
use streamio_core::ports::AdapterError;
use streamio_core::ports::tile_reader::TileReader;
use streamio_events::commit::Commit;
use streamio_local::backup::{back_up, restore};
use streamio_local::operator::{AuditVerification, IfMissing, Operator};
use streamio_local::platform::Platform;

use super::archive::archive;
use super::{TestPlatform, config, send, until};

/// The tiles as a tenant gets them.
struct ApiTiles<'a>(&'a TestPlatform);

#[async_trait]
impl TileReader for ApiTiles<'_> {
    async fn read(&self, tile: &Tile) -> Result<Option<Vec<u8>>, AdapterError> {
        let (status, body) = get(self.0, &format!("/audit/{tile}")).await;
        Ok((status == 200).then_some(body))
    }
}

async fn get(test: &TestPlatform, path: &str) -> (u16, Vec<u8>) {
    let authority = test.platform.addresses().api.strip_prefix("http://").unwrap();
    let request = Request::get(path).header("x-api-key", test.key.reveal()).body(bytes::Bytes::new());
    let response = send(authority, request.unwrap()).await;
    (response.status().as_u16(), response.into_body().to_vec())
}

async fn key(test: &TestPlatform) -> VerifierKey {
    test.call("GET", "/audit/public-key", "").await["publicKey"].as_str().unwrap().parse().unwrap()
}

/// The last checkpoint, verified; `None` if there is none.
async fn checkpoint(test: &TestPlatform) -> Option<Checkpoint> {
    let (status, body) = get(test, "/audit/checkpoint").await;
    if status == 409 {
        return None;
    }
    let note: SignedNote = String::from_utf8(body).unwrap().parse().unwrap();
    Some(Checkpoint::verify(&note, &[key(test).await]).unwrap())
}

/// The project's commits in the order of the export.
async fn commits(data: &Path) -> Vec<Commit> {
    let operator = Operator::open(data, IfMissing::Fail).unwrap();
    let export = archive(&operator, tempfile::tempdir().unwrap().path()).await;
    export.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn until_all_are_proven(test: &TestPlatform, video_id: &str) -> Vec<Value> {
    let path = format!("/videos/{video_id}/proof?limit=100");
    until("all commits of the video have proofs", async || {
        let page = test.call("GET", &path, "").await;
        page["data"].as_array().unwrap().iter().all(|it| it["proof"].is_string())
    })
    .await;
    test.call("GET", &path, "").await["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_tenant_verifies_the_log_with_the_api_alone_and_an_export_matches_it() {
    let test = TestPlatform::start().await;
    let first = {
        until("there is a checkpoint", async || checkpoint(&test).await.is_some()).await;
        checkpoint(&test).await.unwrap()
    };
    let video_id = test.upload("clip.mp4").await;
    test.until_received(&video_id).await;
    test.call("DELETE", &format!("/videos/{video_id}"), "").await;
    // The worker of these tests fails at once, so the video's stream has an end.
    let proven = until_all_are_proven(&test, &video_id).await;
    let (key, last) = (key(&test).await, checkpoint(&test).await.unwrap());
    assert!(last.origin().starts_with("127.0.0.1:") && last.origin().ends_with("/acme"), "{}", last.origin());

    let commits = commits(test.directory.path()).await;
    for commit in &proven {
        let proof: TlogProof = commit["proof"].as_str().unwrap().parse().unwrap();
        let place = usize::try_from(commit["place"].as_u64().unwrap()).unwrap();
        assert_eq!(commits[place].hash.to_string(), commit["hash"].as_str().unwrap());
        assert_eq!(commits[place].stream.to_string(), commit["stream"].as_str().unwrap());
        proof.verify(commits[place].hash, std::slice::from_ref(&key)).unwrap();
        let other = commits[(place + 1) % commits.len()].hash;
        proof.verify(other, std::slice::from_ref(&key)).unwrap_err();
    }
    let proof = consistency(&ApiTiles(&test), first.size(), last.size()).await.unwrap();
    proof.verify(first.root(), last.root()).unwrap();
    let hashes = commits.iter().map(|commit| commit.hash);
    assert_eq!(compare(&ApiTiles(&test), &last, hashes).await.unwrap(), []);
    let TestPlatform { platform, directory, .. } = test;
    platform.run_until(async {}).await;
    let found = verified(directory.path()).await;
    assert_eq!(
        (found.audit_findings, found.unsigned),
        (vec![], 0),
        "the last commits are signed before the stop"
    );
}

async fn verified(data: &Path) -> AuditVerification {
    let mut found = AuditVerification::default();
    let operator = Operator::open(data, IfMissing::Fail).unwrap();
    operator.verify_audit(None, |_, _| (), &mut found).await.unwrap();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_the_checkpoint_and_a_restored_platform_goes_on_from_it() {
    let test = TestPlatform::start().await;
    let video_id = test.upload("clip.mp4").await;
    until_all_are_proven(&test, &video_id).await;
    let (backup, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report: streamio_local::backup::Report = std::sync::Arc::new(|_, _| ());
    let before = checkpoint(&test).await.unwrap();
    back_up(test.directory.path(), &backup.path().join("b"), report.clone()).await.unwrap();
    let TestPlatform { platform, key: api_key, .. } = test;
    platform.run_until(async {}).await;

    let data = restored.path().join("data");
    restore(&backup.path().join("b"), &data, report).await.unwrap();
    assert!(!data.join("audit/acme/tile").exists(), "tiles are computed again");
    let found = verified(&data).await;
    assert_eq!(
        (found.audit_findings, found.checkpoints),
        (vec![], 1),
        "the root of the commits is the signed one"
    );
    let kept = std::fs::read_to_string(data.join("audit/acme/checkpoint")).unwrap();
    let platform = Platform::start(config(&data)).await.unwrap();
    let test = TestPlatform { directory: restored, platform, key: api_key };
    let kept = Checkpoint::verify(&kept.parse().unwrap(), &[key(&test).await]).unwrap();
    assert!(kept.size() >= before.size());
    let video_id = test.upload("later.mp4").await;
    until_all_are_proven(&test, &video_id).await;
    let last = checkpoint(&test).await.unwrap();
    let proof = consistency(&ApiTiles(&test), kept.size(), last.size()).await.unwrap();
    proof.verify(kept.root(), last.root()).unwrap();
    test.platform.run_until(async {}).await;
}
