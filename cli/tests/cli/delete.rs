//! `video delete` asks before it deletes.

use serde_json::json;

use crate::fake_server::FakeServer;
use crate::run::client;
use crate::terminal::{Session, run_on_terminal};
use crate::video::{call, view};

const VIDEO: &str = "vid_aaaaaaaaaaaaaaaaaaaaaaaaaa";

async fn server() -> FakeServer {
    let server = FakeServer::start().await;
    server.state().responses = [(format!("DELETE /videos/{VIDEO}"), view("deleted", 1, 10))].into();
    server
}

async fn on_terminal(server: &FakeServer, arguments: &[&str], typed: &str) -> Session {
    let state = tempfile::tempdir().unwrap();
    let command = client(server, state.path(), &[&["video", "delete", VIDEO], arguments].concat());
    run_on_terminal(command, typed).await
}

#[tokio::test]
async fn without_a_terminal_nothing_is_deleted_unless_yes_is_given() {
    let server = server().await;
    insta::assert_snapshot!(call(&server, &["video", "delete", VIDEO]).await.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    error: vid_aaaaaaaaaaaaaaaaaaaaaaaaaa was not deleted: there is no terminal to ask for a confirmation; add --yes to delete it without a question
    ");
    for extra in ["--json", "--quiet"] {
        let refused = call(&server, &["video", "delete", VIDEO, extra]).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:?}");
    }
    assert!(server.requests("").is_empty());
    call(&server, &["video", "delete", VIDEO, "--yes"]).await.ok();
    assert_eq!(server.requests("DELETE ").len(), 1);
}

#[tokio::test]
async fn on_a_terminal_only_a_yes_deletes() {
    let server = server().await;
    for answer in ["\n", "n\n", "\u{4}"] {
        let session = on_terminal(&server, &[], answer).await;
        assert_eq!(session.code, Some(1), "{session:?}");
        assert!(session.screen.contains("its source and all outputs? [y/N] "), "{session:?}");
        assert!(session.screen.contains("was not deleted; answer y, or use --yes"), "{session:?}");
    }
    assert!(server.requests("").is_empty());
    let session = on_terminal(&server, &[], "y\n").await;
    assert_eq!(session.code, Some(0), "{session:?}");
    assert!(session.screen.contains("Deleted vid_"), "{session:?}");
    assert_eq!(server.requests("DELETE ").len(), 1);
}

#[tokio::test]
async fn output_as_json_does_not_replace_the_question() {
    let server = server().await;
    let session = on_terminal(&server, &["--json"], "n\n").await;
    assert_eq!(session.code, Some(1), "{session:?}");
    assert!(server.requests("").is_empty());
    let session = on_terminal(&server, &["--json", "--yes"], "").await;
    let deleted: serde_json::Value = serde_json::from_str(session.screen.trim()).unwrap();
    assert_eq!(deleted["state"], json!("deleted"));
}
