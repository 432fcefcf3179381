//! The command `streamio --aws` on the cloud: the same commands have the same results as on one machine, and what they change takes
//! effect at the edge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use streamio_emulator::CloudConfig;
use streamio_emulator::cloud::FACTS_STREAM;
use streamio_emulator::fault_proxy::Fault;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::log::EventLogExt as _;
use streamio_events::timestamp::Timestamp;
use tokio::process::Command;

use crate::clips::clip;
use crate::final_state::Leftovers;
use crate::test_cloud::TestCloud;

/// What a command printed, and its exit code.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The JSON objects of all lines.
    #[track_caller]
    fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The program, which is built beside the functions.
fn program() -> PathBuf {
    let folder = std::env::var_os("STREAMIO_LAMBDAS").expect("the folder of the programs");
    let program = Path::new(&folder).join("streamio");
    assert!(program.is_file(), "{} is not built: run `cargo build -p streamio`", program.display());
    program
}

async fn run(mut command: Command) -> Run {
    let output = command.output().await.unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn streamio(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().stdin(std::process::Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command on the cloud, which asks for no confirmation.
pub(crate) async fn on_aws(cloud: &TestCloud, arguments: &[&str]) -> Run {
    let mut command = streamio(arguments);
    command.arg("--aws").envs(cloud.operator_variables()).current_dir(cloud.folder());
    run(command).await
}

/// Runs a command on the data directory of one machine.
async fn on_one_machine(data: &Path, arguments: &[&str]) -> Run {
    let mut command = streamio(arguments);
    command.arg("--data").arg(data);
    run(command).await
}

/// `value` without what differs from run to run: times, keys and their ids, by which keys are ordered.
fn lasting(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("key_") => "KEY".into(),
        Value::String(text) if text.starts_with("sio_") => "SECRET".into(),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => "TIME".into(),
        Value::Array(values) => {
            let are_keys = values.iter().any(|value| value["keyId"].is_string());
            let mut values: Vec<Value> = values.into_iter().map(lasting).collect();
            if are_keys {
                values.sort_by_key(ToString::to_string);
            }
            values.into()
        }
        Value::Object(members) => {
            let mut keys: Vec<Value> = Vec::new();
            let mut lasting_members = Map::new();
            for (name, member) in members {
                if name.starts_with("key_") {
                    keys.push(lasting(member));
                } else {
                    lasting_members.insert(name, lasting(member));
                }
            }
            keys.sort_by_key(ToString::to_string);
            if !keys.is_empty() {
                lasting_members.insert("keys".to_owned(), keys.into());
            }
            Value::Object(lasting_members)
        }
        other => other,
    }
}

async fn status_with(cloud: &TestCloud, key: &str) -> StatusCode {
    let request = cloud.http.get(format!("{}/videos", cloud.api()));
    request.header("x-api-key", key).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_commands_have_the_results_of_one_machine_and_take_effect_at_the_edge() {
    let cloud = TestCloud::start().await;
    let directory = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 12] = [
        &["project", "show", "globex"],
        &["project", "create", "globex", "--title", "Globex"],
        &["project", "create", "globex"],
        &["project", "update", "globex", "--limit", "concurrent-encodes=2"],
        &["project", "show", "globex"],
        &["key", "create", "globex", "--scope", "read", "--label", "ci"],
        &["key", "create", "initech"],
        &["key", "list", "globex"],
        &["key", "revoke", "globex", "key_aaaaaaaaaaaaaaaaaaaaaaaaaa"],
        &["project", "suspend", "globex", "--reason", "unpaid"],
        &["project", "resume", "globex"],
        &["project", "show", "globex"],
    ];
    let mut made = Vec::new();
    for command in commands {
        // The first command makes the data directory, if it is one that may.
        let changes = !matches!(command[1], "show" | "list");
        let yes: &[&str] = if changes { &["--json", "--yes"] } else { &["--json"] };
        let arguments = [command, yes].concat();
        let aws = on_aws(&cloud, &arguments).await;
        let local = on_one_machine(directory.path(), &arguments).await;
        assert_eq!(aws.code, local.code, "{command:?}: {aws:?} {local:?}");
        if aws.code == Some(0) {
            assert_eq!(lasting(aws.json()), lasting(local.json()), "{command:?}");
            made.push(aws.json());
        } else {
            assert_eq!((aws.stdout.as_str(), local.stdout.as_str()), ("", ""), "{command:?}");
        }
    }
    let (key, key_id) = (made[0]["apiKey"].as_str().unwrap(), made[0]["keyId"].as_str().unwrap());
    let listed = on_aws(&cloud, &["project", "list", "--json"]).await.ok().json();
    let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|it| it["projectId"].clone()).collect();
    assert_eq!(names, ["acme", "globex"]);

    // The key reaches the edge, and uploads.
    cloud.wait_until("the key is accepted", async || status_with(&cloud, key).await == StatusCode::OK).await;
    let request = cloud.http.post(format!("{}/upload-url", cloud.api())).header("x-api-key", key);
    let grant: Value =
        request.json(&json!({ "filename": "clip.mp4" })).send().await.unwrap().json().await.unwrap();
    cloud.put_object(&grant, clip()).await;
    cloud
        .wait_until("the video is ready in the operator's list of events", async || {
            let tail = on_aws(&cloud, &["events", "tail", "--project", "globex", "-n", "1000"]).await.ok();
            tail.lines().iter().any(|event| event["type"] == "video.ready")
        })
        .await;

    // A webhook endpoint of the tenant, through the API with the new key.
    let mut add = streamio(&["webhook", "add", "http://127.0.0.1:9", "--json"]);
    add.env("STREAMIO_URL", cloud.api()).env("STREAMIO_API_KEY", key);
    let endpoint = run(add).await.ok().json();
    let mut remove = streamio(&["webhook", "remove", endpoint["webhookId"].as_str().unwrap(), "--yes"]);
    remove.env("STREAMIO_URL", cloud.api()).env("STREAMIO_API_KEY", key);
    run(remove).await.ok();

    let revoked = on_aws(&cloud, &["key", "revoke", "globex", key_id, "--yes", "--json"]).await.ok();
    assert!(revoked.json()["revokedAt"].is_string(), "{revoked:?}");
    assert!(
        revoked.stderr.starts_with("AWS account 111122223333, region us-east-1, tables streamio-ledger and ")
    );
    cloud
        .wait_until("the key is refused", async || status_with(&cloud, key).await == StatusCode::UNAUTHORIZED)
        .await;
    read_the_log(&cloud, directory.path()).await;
    cloud.finish().await;
}

/// Reads the log in each way, and compares it with the log itself and with one machine.
async fn read_the_log(cloud: &TestCloud, data: &Path) {
    let of_project = ["events", "tail", "--project", "globex", "--type", "project,key", "-n", "1000"];
    let kinds = |run: Run| -> Vec<(Value, Value)> {
        run.lines().iter().map(|event| (event["id"].clone(), event["type"].clone())).collect()
    };
    let (mut aws, local) =
        (kinds(on_aws(cloud, &of_project).await.ok()), kinds(on_one_machine(data, &of_project).await.ok()));
    assert_eq!(aws.pop().unwrap().1, "key.revoked");
    assert_eq!(aws, local);
    let last =
        on_aws(cloud, &["events", "tail", "--project", "globex", "--type", "key", "-n", "1"]).await.ok();
    assert_eq!(last.lines().len(), 1);
    assert_eq!(last.lines()[0]["type"], "key.revoked");
    let all = on_aws(cloud, &["events", "tail"]).await;
    assert!(all.code == Some(2) && all.stderr.contains("name it with --project"), "{all:?}");

    // Nothing is appended any more, once the log has not grown between two exports.
    let mut exported = String::new();
    cloud
        .wait_until("the log has stopped growing", async || {
            let export = on_aws(cloud, &["events", "export", "--format", "commits"]).await.ok().stdout;
            export == std::mem::replace(&mut exported, export.clone())
        })
        .await;
    let mut commits: Vec<Commit> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut in_log = cloud.log().scan_to_end().await.unwrap();
    let place = |commit: &Commit| (commit.stream.to_string(), commit.first);
    commits.sort_by_key(place);
    in_log.sort_by_key(place);
    assert_eq!(commits, in_log);
    let verified = on_aws(cloud, &["events", "verify", "--json"]).await.ok().json();
    assert_eq!((&verified["commits"], &verified["findings"]), (&json!(commits.len()), &json!([])));
    let audited = on_aws(cloud, &["audit", "verify", "--project", "globex", "--json"]).await.ok();
    let of_globex = commits.iter().filter(|commit| commit.stream.project_id().as_str() == "globex").count();
    assert_eq!(audited.json()["commits"], of_globex);
    assert!(audited.stderr.contains("no trees and checkpoints on AWS yet"), "{audited:?}");
    export_to_files(cloud, data, &commits).await;
}

/// Exports the log, which has `commits`, in each form.
async fn export_to_files(cloud: &TestCloud, folder: &Path, commits: &[Commit]) {
    let events = on_aws(cloud, &["events", "export"]).await.ok().lines();
    let mut ids: Vec<_> = events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    let expected = commits.iter().flat_map(CloudEvent::all).map(|event| event.id);
    let mut expected: Vec<_> = expected.collect();
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);

    let last = commits.iter().map(|commit| commit.recorded_at).max().unwrap();
    let to = last.plus(Duration::from_millis(1)).to_string();
    let file = folder.join("events.jsonl.zst");
    let export = ["events", "export", "--to", &to, "--json", "--output", file.to_str().unwrap()];
    let written = on_aws(cloud, &export).await.ok().json();
    assert_eq!(
        written,
        json!({"file": file, "commits": commits.len(), "events": events.len()}),
        "there are no positions"
    );
    let whole = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::write(folder.join("events.jsonl.zst.partial"), &whole[..whole.len() / 2]).unwrap();
    on_aws(cloud, &[&export[..], &["--resume"]].concat()).await.ok();
    assert!(std::fs::read(&file).unwrap() == whole, "a continued export has the same bytes");

    let first = commits.iter().map(|commit| commit.recorded_at).min().unwrap().to_string();
    for (bounds, count) in [(["--from", &to], 0), (["--to", &first], 0), (["--from", &first], events.len())] {
        let some = on_aws(cloud, &[&["events", "export"][..], &bounds].concat()).await.ok();
        assert_eq!(some.lines().len(), count, "{bounds:?}");
    }
    for refused in [&["--from", "1"][..], &["--resume", "--output", file.to_str().unwrap()]] {
        let run = on_aws(cloud, &[&["events", "export"][..], refused].concat()).await;
        assert!(run.code == Some(2) && run.stderr.contains("state a time"), "{run:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_prints_events_as_they_happen() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    let cloud = TestCloud::start().await;
    on_aws(&cloud, &["project", "create", "globex", "--yes"]).await.ok();
    let mut command =
        streamio(&["events", "tail", "--follow", "--project", "globex", "--type", "project", "--aws"]);
    command.envs(cloud.operator_variables()).current_dir(cloud.folder()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line =
            tokio::time::timeout(crate::test_cloud::TIMEOUT, lines.next_line()).await.unwrap().unwrap();
        serde_json::from_str::<Value>(&line.expect("another event")).unwrap()["type"].clone()
    };
    assert_eq!(next().await, "project.created");
    on_aws(&cloud, &["project", "suspend", "globex", "--yes"]).await.ok();
    assert_eq!(next().await, "project.suspended");
    on_aws(&cloud, &["project", "resume", "globex", "--yes"]).await.ok();
    assert_eq!(next().await, "project.resumed");
    child.kill().await.unwrap();
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_handled_again_by_its_function_when_its_cause_is_gone() {
    let give_up_after = Duration::from_secs(3);
    let cloud = TestCloud::start_with(|config| CloudConfig { give_up_after, ..config }).await;
    let fault = cloud.dynamo_proxy().inject("PutItem", "playback.granted", 1000, Fault::Refuse);
    let grant = cloud.post("/playback-url?key=processed/acme/clip.mp4", &json!({})).await;
    let list = async || on_aws(&cloud, &["dead-letters", "list", "--json"]).await.ok().json()["data"].clone();
    cloud.wait_until("the grant is given up", async || list().await.as_array().unwrap().len() == 1).await;
    fault.cancel();
    let put = cloud.kinesis().client().put_record().stream_name(FACTS_STREAM).partition_key("poison");
    put.data(Blob::new("this is not a fact")).send().await.unwrap();
    cloud.wait_until("the poison is given up", async || list().await.as_array().unwrap().len() == 2).await;

    let listed = list().await;
    let (grant_letter, poison) = (&listed[0], &listed[1]);
    assert!(
        grant_letter["function"] == "intake"
            && grant_letter["reason"].as_str().unwrap().contains("not available"),
        "{grant_letter}"
    );
    let id = grant_letter["id"].as_str().unwrap();
    let shown = on_aws(&cloud, &["dead-letters", "show", "intake", id, "--json"]).await.ok().json();
    assert_eq!(
        (&shown["reason"], &shown["payload"]["eventSource"]),
        (&grant_letter["reason"], &json!("aws:kinesis"))
    );
    let would =
        on_aws(&cloud, &["dead-letters", "redrive", "--all", "--dry-run", "--json"]).await.ok().json();
    assert_eq!(would["data"], listed);
    let refused = on_aws(&cloud, &["dead-letters", "redrive", "--all"]).await;
    assert!(refused.code == Some(2) && refused.stderr.contains("2 dead letters was not"), "{refused:?}");
    assert_eq!(list().await, listed, "nothing has changed");
    let is_recorded = async || {
        let commits = cloud.log().scan_to_end().await.unwrap();
        let mut events = commits.iter().flat_map(|commit| &commit.events);
        events.any(|event| event.kind == "playback.granted" && event.data["grantId"] == grant["grantId"])
    };
    assert!(!is_recorded().await);

    let redriven = on_aws(&cloud, &["dead-letters", "redrive", "--all", "--yes", "--json"]).await;
    assert_eq!(redriven.code, Some(1), "{redriven:?}");
    assert_eq!(
        (&redriven.json()["handled"], &redriven.json()["failed"][0]["id"]),
        (&json!(1), &poison["id"])
    );
    assert!(redriven.json()["failed"][0]["reason"].as_str().unwrap().contains("not the JSON of a fact"));
    assert!(is_recorded().await);
    let left = list().await;
    assert_eq!(left, json!([poison]));
    let again = on_aws(&cloud, &["dead-letters", "redrive", "intake", id, "--yes"]).await;
    assert_eq!(again.code, Some(3), "{again:?}");
    let dead_letters = BTreeMap::from([("intake", 1)]);
    cloud.finish_with(Leftovers { dead_letters, ..Leftovers::default() }).await;
}
