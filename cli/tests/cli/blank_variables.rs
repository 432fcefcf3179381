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
    for (name, arguments) in [
        ("STREAMIO_URL", &list_videos[..]),
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
async fn the_help_names_a_variable_that_is_blank() {
    let scratch = tempfile::tempdir().unwrap();
    let help = ["up", "--help"];
    let absent = run_with(scratch.path(), ("ANOTHER", ""), &help).await.ok();
    for name in ["STREAMIO_DATA", "STREAMIO_EDGE_WORKER"] {
        let run = run_with(scratch.path(), (name, ""), &help).await.ok();
        assert_eq!(run.stdout, absent.stdout, "{name}");
    }
}
