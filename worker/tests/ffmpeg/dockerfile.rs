//! Checks the Dockerfile against the worker's settings. Building the image needs Docker and is not tested here.

use std::collections::BTreeSet;
use std::path::Path;

use streamio_worker::settings::{LogLocation, Settings};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dockerfile() -> String {
    read("worker/Dockerfile")
}

/// The value after `name=` in the Dockerfile.
fn value(name: &str) -> String {
    let dockerfile = dockerfile();
    let prefix = format!("{name}=");
    let mut values = dockerfile.split_whitespace().filter_map(|word| word.strip_prefix(&prefix));
    values.next().unwrap_or_else(|| panic!("{name} is not set")).to_owned()
}

#[test]
fn the_image_is_built_with_the_repositorys_compiler() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap();
    let base = format!("FROM rust:{}-slim-bookworm AS build", channel.trim_matches('"'));
    assert!(dockerfile().lines().any(|line| line == base), "{base}");
}

#[test]
fn the_pinned_ffmpeg_is_supported() {
    let version = value("FFMPEG_VERSION");
    let upstream = version.split_once(':').unwrap().1.split_once('-').unwrap().0;
    let numbers: Vec<u32> = upstream.split('.').map(|number| number.parse().unwrap()).collect();
    assert!(numbers >= vec![5, 1], "{version} is older than 5.1");
    assert!(dockerfile().contains("\"ffmpeg=$FFMPEG_VERSION\""));
    let snapshot = value("SNAPSHOT");
    assert!(snapshot.len() == 16 && snapshot.ends_with("T000000Z"), "{snapshot} is not a day of the archive");
}

#[test]
fn the_images_environment_is_complete_with_the_variables_of_ecs_and_the_task_definition() {
    let requested = std::cell::RefCell::new(BTreeSet::new());
    let settings = Settings::read(|name| {
        requested.borrow_mut().insert(name.to_owned());
        match name {
            "STREAMIO_JOB" => Some(
                r#"{"projectId":"acme","videoId":"vid_abcdefghijklmnopqrstuvwxyz","s3Key":"projects/acme/clip.mp4",
                    "generation":1,"attempt":1,"clientToken":"tok","rawBucket":"raw","processedBucket":"processed"}"#
                    .to_owned(),
            ),
            "STREAMIO_LOG" => Some("dynamodb:ledger".to_owned()),
            "AWS_REGION" => Some("eu-central-1".to_owned()),
            "STREAMIO_SCRATCH" | "STREAMIO_FFMPEG" | "STREAMIO_FFPROBE" => Some(value(name)),
            _ => None,
        }
    })
    .unwrap();
    assert_eq!(settings.log, LogLocation::Dynamo { table: "ledger".to_owned() });
    assert_eq!(
        (settings.ffmpeg.as_str(), settings.ffprobe.as_str()),
        ("/usr/bin/ffmpeg", "/usr/bin/ffprobe")
    );
    let dockerfile = dockerfile();
    let set = dockerfile.split_whitespace().filter_map(|word| word.split_once('=')).map(|(name, _)| name);
    for name in set.filter(|name| name.starts_with("STREAMIO_")) {
        assert!(requested.borrow().contains(name), "the worker does not read {name}");
    }
}

#[test]
fn the_worker_runs_unprivileged_and_is_stopped_with_sigterm() {
    let dockerfile = dockerfile();
    let user = dockerfile.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(user != "0" && user != "root");
    assert!(dockerfile.contains(&format!("--uid {user} ")));
    for line in ["STOPSIGNAL SIGTERM", "ENTRYPOINT [\"/usr/local/bin/streamio-worker\"]", "VOLUME /scratch"] {
        assert!(dockerfile.lines().any(|found| found == line), "{line}");
    }
    assert_eq!(value("STREAMIO_SCRATCH"), "/scratch");
}
