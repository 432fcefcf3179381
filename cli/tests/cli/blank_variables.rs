//! A blank environment variable counts as absent, as in every other program of the platform.

use std::path::Path;

use crate::fake_server::FakeServer;
use crate::run::{Run, api_key, run, streamio};

const BLANKS: [&str; 2] = ["", " \t"];

/// Runs the program in `directory` with one environment variable.
async fn run_with(directory: &Path, (name, value): (&str, &str), arguments: &[&str]) -> Run {
    let mut command = streamio(arguments);
    command.current_dir(directory).env(name, value);
    run(command).await
}

#[tokio::test]
async fn a_blank_key_is_no_key() {
    let scratch = tempfile::tempdir().unwrap();
    let server = FakeServer::start().await;
    let list = ["video", "list", "--url", server.url()];
    let file = scratch.path().join("key");
    std::fs::write(&file, api_key().reveal()).unwrap();
    let with_file = [&list[..], &["--api-key-file", file.to_str().unwrap()]].concat();
    for blank in BLANKS {
        let run = run_with(scratch.path(), ("STREAMIO_API_KEY", blank), &list).await;
        assert_eq!(run.code, Some(2));
        assert!(run.stderr.starts_with("error: no API key was given"), "{run:?}");
        run_with(scratch.path(), ("STREAMIO_API_KEY", blank), &with_file).await.ok();
    }
}

#[tokio::test]
async fn a_blank_variable_selects_the_default() {
    let scratch = tempfile::tempdir().unwrap();
    let list_videos = ["video", "list", "--quiet"];
    let worker = ["up", "--port", "0", "--edge", "workerd"];
    let list_projects = ["project", "list"];
    std::fs::write(scratch.path().join("a-file"), "").unwrap();
    // Fails after the programs were checked and the log was started.
    let start = ["up", "--port", "0", "--data", "a-file"];
    for (name, arguments) in [
        ("STREAMIO_FFMPEG", &start[..]),
        ("STREAMIO_FFPROBE", &start),
        ("RUST_LOG", &start),
        ("STREAMIO_URL", &list_videos),
        ("STREAMIO_DATA", &list_projects),
        ("STREAMIO_EDGE_WORKER", &worker),
    ] {
        let absent = run_with(scratch.path(), ("ANOTHER", ""), arguments).await;
        for blank in BLANKS {
            let run = run_with(scratch.path(), (name, blank), arguments).await;
            assert_eq!(run.transcript(), absent.transcript(), "{name}={blank:?}");
        }
    }
}

#[tokio::test]
async fn a_blank_directory_for_the_state_of_uploads_is_none() {
    let (server, scratch) = (FakeServer::start().await, tempfile::tempdir().unwrap());
    std::fs::write(scratch.path().join("clip.mp4"), "content").unwrap();
    for blank in BLANKS {
        let mut command = streamio(&["upload", "clip.mp4", "--multipart", "--overwrite"]);
        command
            .current_dir(scratch.path())
            .env("STREAMIO_URL", server.url())
            .env("STREAMIO_API_KEY", api_key().reveal())
            .env("XDG_STATE_HOME", scratch.path().join("state"))
            .env("STREAMIO_STATE_DIR", blank);
        run(command).await.ok();
        assert!(scratch.path().join("state/streamio/uploads").is_dir());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 2, "{blank:?}");
    }
}

#[tokio::test]
async fn the_help_names_a_variable_that_is_blank() {
    let scratch = tempfile::tempdir().unwrap();
    let help = ["up", "--help"];
    let absent = run_with(scratch.path(), ("ANOTHER", ""), &help).await.ok();
    for name in ["STREAMIO_DATA", "STREAMIO_EDGE_WORKER"] {
        let run = run_with(scratch.path(), (name, ""), &help).await.ok();
        assert_eq!(run.stdout, absent.stdout, "{name}");
    }
}
