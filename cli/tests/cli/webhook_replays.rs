//! `webhook recover`, `replay`, `replays` and `cancel-replay`.

use serde_json::{Value, json};

use crate::fake_server::{FakeServer, ReceivedRequest};
use crate::video::call;
use crate::webhook::WEBHOOK;

const REPLAY: &str = "rpl_aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A job that is in progress.
fn running() -> Value {
    json!({
        "replayId": REPLAY, "webhookId": WEBHOOK, "projectId": "acme", "kind": "replay", "from": 12, "rate": 50,
        "state": "running", "startSeq": 12, "endSeq": 52, "nextSeq": 22, "scheduled": 9, "skipped": 1,
        "startedAt": "2026-01-02T03:04:05.000Z", "updatedAt": "2026-01-02T03:04:06.000Z",
    })
}

fn ended(reason: &str) -> Value {
    let mut job = running();
    (job["state"], job["reason"], job["nextSeq"]) = ("ended".into(), reason.into(), 52.into());
    job
}

fn path(rest: &str) -> String {
    format!("/webhooks/{WEBHOOK}/{rest}")
}

async fn server(responses: &[(&str, Value)]) -> FakeServer {
    let server = FakeServer::start().await;
    server.state().responses =
        responses.iter().map(|(line, body)| ((*line).to_owned(), body.clone())).collect();
    server
}

#[tokio::test]
async fn jobs_are_started_with_what_the_flags_state() {
    let (recover, replay) = (format!("POST {}", path("recover")), format!("POST {}", path("replay")));
    let server = server(&[(&recover, running()), (&replay, running())]).await;
    let since = "2026-01-02T03:04:05.000Z";
    let run = call(&server, &["webhook", "recover", WEBHOOK, "--since", since]).await.ok();
    insta::assert_snapshot!(run.stdout, @r"
    Replay:    rpl_aaaaaaaaaaaaaaaaaaaaaaaaaa
    Webhook:   whk_aaaaaaaaaaaaaaaaaaaaaaaaaa
    Kind:      replay
    From:      12
    Rate:      50 messages a second
    State:     running
    Progress:  25 %
    Scheduled: 9
    Skipped:   1
    Started:   2026-01-02T03:04:05.000Z
    Updated:   2026-01-02T03:04:06.000Z

    See its progress with `streamio webhook replays whk_aaaaaaaaaaaaaaaaaaaaaaaaaa`.
    ");
    let types = ["--type", "video.ready,video.errored", "--rate", "7", "--json"];
    let run =
        call(&server, &[&["webhook", "recover", WEBHOOK, "--since", since][..], &types].concat()).await.ok();
    assert_eq!(run.json(), running());
    for bounds in [&["--from", "41"][..], &["--from", since, "--to", "52", "--rate", "1000"]] {
        call(&server, &[&["webhook", "replay", WEBHOOK], bounds].concat()).await.ok();
    }
    let bodies: Vec<Value> = server.requests("POST ").iter().map(ReceivedRequest::json).collect();
    assert_eq!(
        bodies,
        [
            json!({ "since": since }),
            json!({ "since": since, "types": ["video.ready", "video.errored"], "rate": 7 }),
            json!({ "from": 41 }),
            json!({ "from": since, "to": 52, "rate": 1000 }),
        ]
    );
    for wrong in [&["--from", "yesterday"][..], &["--from", "-1"], &["--from", "0", "--rate", "0"], &[]] {
        let run = call(&server, &[&["webhook", "replay", WEBHOOK], wrong].concat()).await;
        assert_eq!(run.code, Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_job_is_waited_for_until_it_has_ended() {
    let (start, show) =
        (format!("POST {}", path("replay")), format!("GET {}", path(&format!("replays/{REPLAY}"))));
    let complete = server(&[(&start, running()), (&show, ended("completed"))]).await;
    let run = call(&complete, &["webhook", "replay", WEBHOOK, "--from", "12", "--wait"]).await.ok();
    insta::assert_snapshot!(run.transcript(), @r"
    exit 0
    --- stdout
    Replay:    rpl_aaaaaaaaaaaaaaaaaaaaaaaaaa
    Webhook:   whk_aaaaaaaaaaaaaaaaaaaaaaaaaa
    Kind:      replay
    From:      12
    Rate:      50 messages a second
    State:     ended: completed
    Progress:  100 %
    Scheduled: 9
    Skipped:   1
    Started:   2026-01-02T03:04:05.000Z
    Updated:   2026-01-02T03:04:06.000Z
    --- stderr
    Sending again to whk_aaaaaaaaaaaaaaaaaaaaaaaaaa: 100 %
    ");
    let cut_short = server(&[(&start, running()), (&show, ended("webhook_disabled"))]).await;
    let run = call(&cut_short, &["webhook", "replay", WEBHOOK, "--from", "12", "--wait"]).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 1
    --- stdout
    --- stderr
    Sending again to whk_aaaaaaaaaaaaaaaaaaaaaaaaaa: 100 %
    error: the replay rpl_aaaaaaaaaaaaaaaaaaaaaaaaaa has ended before all messages were scheduled: webhook_disabled; see `streamio webhook replays whk_aaaaaaaaaaaaaaaaaaaaaaaaaa`; start another one for the rest
    ");
}

#[tokio::test]
async fn jobs_are_listed_and_the_active_one_is_cancelled() {
    let list = format!("GET {}", path("replays"));
    let cancel = format!("DELETE {}", path(&format!("replays/{REPLAY}")));
    let page = json!({"data": [running(), ended("completed")], "nextCursor": null});
    let server = server(&[(&list, page), (&cancel, ended("cancelled"))]).await;
    let run = call(&server, &["webhook", "replays", WEBHOOK]).await.ok();
    insta::assert_snapshot!(run.stdout, @r"
    STARTED                   KIND    FROM  TO  STATE      PROGRESS  SCHEDULED  SKIPPED  REPLAY
    2026-01-02T03:04:05.000Z  replay  12        running    25 %      9          1        rpl_aaaaaaaaaaaaaaaaaaaaaaaaaa
    2026-01-02T03:04:05.000Z  replay  12        completed  100 %     9          1        rpl_aaaaaaaaaaaaaaaaaaaaaaaaaa
    ");
    for arguments in [&[WEBHOOK][..], &[WEBHOOK, REPLAY]] {
        let run = call(&server, &[&["webhook", "cancel-replay"], arguments].concat()).await.ok();
        assert!(run.stdout.contains("ended: cancelled"), "{}", run.stdout);
    }
    assert_eq!(server.requests("DELETE ").len(), 2);
    let none = json!({"data": [ended("completed")], "nextCursor": null});
    server.state().responses = [(list, none)].into();
    let run = call(&server, &["webhook", "cancel-replay", WEBHOOK]).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 3
    --- stdout
    --- stderr
    error: no messages are being sent to whk_aaaaaaaaaaaaaaaaaaaaaaaaaa again; see `streamio webhook replays whk_aaaaaaaaaaaaaaaaaaaaaaaaaa`
    ");
}

#[tokio::test]
async fn an_answer_that_is_not_a_job_is_an_error() {
    let (replays, replay) = (path("replays"), path(&format!("replays/{REPLAY}")));
    let page = json!({"data": [{}], "nextCursor": null});
    for (line, answer, arguments) in [
        (
            format!("POST {}", path("recover")),
            json!({}),
            &["recover", WEBHOOK, "--since", "2026-01-02T03:04:05.000Z"][..],
        ),
        (format!("POST {}", path("replay")), Value::Null, &["replay", WEBHOOK, "--from", "0"]),
        (format!("GET {replays}"), page, &["replays", WEBHOOK]),
        (format!("DELETE {replay}"), json!({"replayId": 7}), &["cancel-replay", WEBHOOK, REPLAY]),
    ] {
        let server = server(&[(&line, answer)]).await;
        for json in [&[][..], &["--json"]] {
            let run = call(&server, &[&["webhook"], arguments, json].concat()).await;
            assert_ne!(run.code, Some(0), "{line}: {run:?}");
            assert!(run.stderr.contains("it has no replayId"), "{line}: {run:?}");
        }
    }
    let (start, show) = (format!("POST {}", path("replay")), format!("GET {replay}"));
    let server = server(&[(&start, running()), (&show, json!({}))]).await;
    let run = call(&server, &["webhook", "replay", WEBHOOK, "--from", "12", "--wait"]).await;
    assert!(run.code != Some(0) && run.stderr.contains("it has no replayId"), "{run:?}");
}
