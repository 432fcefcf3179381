use std::sync::Arc;

use serde_json::json;

use crate::fake::{Fake, Fault, Hold, store_error};
use crate::run::{finish, start};
use crate::upload::{Place, command, interrupt, upload};

const CONTENT: &[u8] = b"one.two.three.four";
const KEY: &str = "projects/acme/clip.mp4";
/// One part after the other, so that a test knows which are stored.
const IN_ORDER: &[&str] = &["--multipart", "--parallel", "1"];

fn parts_sent(fake: &Fake) -> Vec<String> {
    let number = |target: &str| {
        target.split("partNumber=").nth(1).and_then(|rest| rest.split('&').next()).map(str::to_owned)
    };
    fake.seen("PUT /s3/").iter().filter_map(|seen| number(&seen.target)).collect()
}

/// Parts 1 and 2 are stored when the run is killed, part 3 is under way.
async fn killed_at_part_3(fake: &Fake, place: &Place) {
    let hold = Arc::new(Hold::default());
    fake.fault(&format!("PUT /s3/{KEY}?partNumber=3"), [Fault::Hold(hold.clone())]);
    let mut child = start(command(fake, place, IN_ORDER));
    hold.reached.notified().await;
    child.kill().await.unwrap();
}

fn remembered(place: &Place) -> usize {
    let entries = std::fs::read_dir(place.state()).unwrap();
    entries
        .filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "json")
        })
        .count()
}

#[tokio::test]
async fn a_file_in_parts_arrives_whole_and_leaves_nothing_behind() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    let run = upload(&fake, &place, &["--multipart", "--checksum", "--no-overwrite", "--json"]).await.ok();
    assert_eq!(fake.state().store.objects[KEY], CONTENT);
    assert_eq!(run.json()["bytes"], CONTENT.len());
    let mut sent = parts_sent(&fake);
    sent.sort();
    assert_eq!(sent, ["1", "2", "3", "4", "5"]);
    assert!(fake.seen("PUT /s3/").iter().all(|seen| seen.headers["content-md5"].len() == 24));
    assert_eq!(fake.seen("POST /s3/")[0].headers["if-none-match"], "*");
    let request = fake.seen("POST /upload-url")[0].json();
    assert_eq!(
        (&request["multipart"], &request["size"], request.get("sha256")),
        (&json!(true), &json!(18), None)
    );
    assert_eq!(remembered(&place), 0);
}

#[tokio::test]
async fn each_part_is_tried_again_on_its_own() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    fake.fault(
        &format!("PUT /s3/{KEY}?partNumber=2"),
        [Fault::CutBefore, store_error(503, "SlowDown", "slow"), Fault::CutAfter],
    );
    let run = upload(&fake, &place, IN_ORDER).await.ok();
    assert_eq!(fake.state().store.objects[KEY], CONTENT);
    assert_eq!(parts_sent(&fake), ["1", "2", "2", "2", "3", "4", "5"]);
    assert_eq!(run.stderr.matches("part 2: ").count(), 3, "{run:?}");
    assert!(run.stderr.contains("100 % (18 B of 18 B)"), "what was sent in vain counts: {run:?}");
}

#[tokio::test]
async fn a_run_that_was_killed_is_resumed_with_fresh_urls_for_the_rest() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    killed_at_part_3(&fake, &place).await;
    assert_eq!(parts_sent(&fake), ["1", "2", "3"]);

    let run = upload(&fake, &place, &["--multipart", "--parallel", "1", "--json"]).await.ok();
    assert_eq!(fake.state().store.objects[KEY], CONTENT);
    assert_eq!(parts_sent(&fake), ["1", "2", "3", "3", "4", "5"]);
    assert_eq!(run.json()["resumedBytes"], 8);
    let grants = fake.seen("POST /upload-url");
    assert_eq!(
        grants.iter().map(|seen| seen.json()["uploadId"].clone()).collect::<Vec<_>>(),
        [json!(null), json!("upload-1")]
    );
    assert_eq!(remembered(&place), 0);
}

#[tokio::test]
async fn ctrl_c_leaves_a_state_to_resume_from_and_says_so() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    let hold = Arc::new(Hold::default());
    fake.fault(&format!("PUT /s3/{KEY}?partNumber=4"), [Fault::Hold(hold.clone())]);
    let child = start(command(&fake, &place, &["--multipart", "--parallel", "1", "--quiet"]));
    hold.reached.notified().await;
    interrupt(&child);
    let interrupted = finish(child).await;
    insta::assert_snapshot!(interrupted.transcript(), @r"
    exit 130
    --- stdout
    --- stderr
    error: interrupted: 3 of 5 parts are stored; run the same command again to send only the rest
    ");
    let run = upload(&fake, &place, IN_ORDER).await.ok();
    assert!(run.stderr.contains("Resuming: 12 B of 18 B are stored"), "{run:?}");
    assert_eq!(fake.state().store.objects[KEY], CONTENT);
}

#[tokio::test]
async fn a_changed_file_is_another_upload() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    killed_at_part_3(&fake, &place).await;
    std::fs::write(place.file(), b"something else").unwrap();
    let run = upload(&fake, &place, &["--multipart", "--json"]).await.ok();
    assert_eq!(run.json()["resumedBytes"], 0);
    assert_eq!(fake.state().store.objects[KEY], b"something else");
}

#[tokio::test]
async fn urls_that_are_never_valid_end_the_run_but_not_the_upload() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    let denied = store_error(403, "AccessDenied", "Request has expired");
    fake.fault(&format!("PUT /s3/{KEY}?partNumber=3"), std::iter::repeat_n(denied, 4));
    let run = upload(&fake, &place, &["--multipart", "--parallel", "1", "--quiet"]).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 4
    --- stdout
    --- stderr
    error: the object store refused the upload: AccessDenied, Request has expired (HTTP 403, request S3R); check this machine's clock: signed URLs hold for a limited time only; 2 parts are stored, and the same command sends only the rest
    ");
    assert_eq!(parts_sent(&fake), ["1", "2", "3", "3", "3", "3"]);
    upload(&fake, &place, IN_ORDER).await.ok();
    assert_eq!(parts_sent(&fake)[6..], ["3", "4", "5"]);
}

#[tokio::test]
async fn urls_that_expire_on_the_way_are_replaced() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    let expired = store_error(403, "AccessDenied", "Request has expired");
    fake.fault(&format!("PUT /s3/{KEY}?partNumber=2"), [expired.clone()]);
    fake.fault(&format!("POST /s3/{KEY}"), [expired]);
    upload(&fake, &place, IN_ORDER).await.ok();
    assert_eq!(fake.seen("POST /upload-url").len(), 3);
    assert_eq!(fake.state().store.objects[KEY], CONTENT);
}

#[tokio::test]
async fn an_upload_that_the_store_forgot_begins_anew() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    killed_at_part_3(&fake, &place).await;
    fake.state().store.uploads.clear();
    let run = upload(&fake, &place, IN_ORDER).await.ok();
    assert!(run.stderr.contains("no longer known; beginning anew"), "{run:?}");
    assert_eq!(fake.state().store.objects[KEY], CONTENT);
}

#[tokio::test]
async fn an_error_within_a_successful_answer_is_tried_again() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    fake.fault(
        &format!("POST /s3/{KEY}"),
        [store_error(200, "InternalError", "We encountered an internal error.")],
    );
    upload(&fake, &place, IN_ORDER).await.ok();
    assert_eq!(fake.seen("POST /s3/").len(), 2);
    assert_eq!(fake.state().store.objects[KEY], CONTENT);
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_recognized() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    fake.state().views_after_upload = [crate::video::view("uploaded", 1, 2)].into();
    fake.fault(&format!("POST /s3/{KEY}"), [Fault::CutAfter]);
    upload(&fake, &place, IN_ORDER).await.ok();
    assert_eq!(fake.seen("POST /s3/").len(), 2);
    assert_eq!(remembered(&place), 0);
}

#[tokio::test]
async fn what_can_never_succeed_is_aborted_and_forgotten() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    fake.fault(&format!("POST /s3/{KEY}"), [store_error(412, "PreconditionFailed", "There is one already.")]);
    let run = upload(&fake, &place, &["--multipart", "--no-overwrite", "--json"]).await;
    assert_eq!((run.code, &run.error()["storageCode"]), (Some(4), &json!("PreconditionFailed")));
    assert_eq!(fake.seen("DELETE /s3/").len(), 1);
    assert!(fake.state().store.uploads.is_empty());
    assert_eq!(remembered(&place), 0);
}

#[tokio::test]
async fn two_runs_of_one_upload_do_not_meet() {
    let (fake, place) = (Fake::start().await, Place::new(CONTENT));
    let hold = Arc::new(Hold::default());
    fake.fault(&format!("PUT /s3/{KEY}?partNumber=1"), [Fault::Hold(hold.clone())]);
    let first = start(command(&fake, &place, IN_ORDER));
    hold.reached.notified().await;
    let second = upload(&fake, &place, IN_ORDER).await;
    assert!(second.code == Some(1) && second.stderr.contains("another run of this command"), "{second:?}");
    hold.release.notify_one();
    finish(first).await.ok();
    assert_eq!(fake.state().store.objects[KEY], CONTENT);
}
