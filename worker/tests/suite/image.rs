//! What the image's recipe names is what the worker needs. The image itself is built where there is a Docker.

use std::collections::BTreeSet;
use std::path::Path;

use streamio_worker::settings::{LogPlace, Settings};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn recipe() -> String {
    read("worker/Dockerfile")
}

/// The value behind `name=` in the recipe.
fn value(name: &str) -> String {
    let recipe = recipe();
    let prefix = format!("{name}=");
    let mut values = recipe.split_whitespace().filter_map(|word| word.strip_prefix(&prefix));
    values.next().unwrap_or_else(|| panic!("{name} is not set")).to_owned()
}

#[test]
fn the_image_is_built_by_the_compiler_of_the_repository() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap();
    let base = format!("FROM rust:{}-slim-bookworm AS build", channel.trim_matches('"'));
    assert!(recipe().lines().any(|line| line == base), "{base}");
}

#[test]
fn the_pinned_ffmpeg_is_one_that_the_worker_works_with() {
    let version = value("FFMPEG_VERSION");
    let upstream = version.split_once(':').unwrap().1.split_once('-').unwrap().0;
    let numbers: Vec<u32> = upstream.split('.').map(|number| number.parse().unwrap()).collect();
    assert!(numbers >= vec![5, 1], "{version} is older than 5.1");
    assert!(recipe().contains("\"ffmpeg=$FFMPEG_VERSION\""));
    let snapshot = value("SNAPSHOT");
    assert!(snapshot.len() == 16 && snapshot.ends_with("T000000Z"), "{snapshot} is no day of the archive");
}

#[test]
fn with_what_ecs_and_the_task_definition_set_the_images_environment_is_complete() {
    let asked = std::cell::RefCell::new(BTreeSet::new());
    let settings = Settings::read(|name| {
        asked.borrow_mut().insert(name.to_owned());
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
    assert_eq!(settings.log, LogPlace::Dynamo { table: "ledger".to_owned() });
    assert_eq!(
        (settings.ffmpeg.as_str(), settings.ffprobe.as_str()),
        ("/usr/bin/ffmpeg", "/usr/bin/ffprobe")
    );
    let recipe = recipe();
    let set = recipe.split_whitespace().filter_map(|word| word.split_once('=')).map(|(name, _)| name);
    for name in set.filter(|name| name.starts_with("STREAMIO_")) {
        assert!(asked.borrow().contains(name), "the worker knows nothing of {name}");
    }
}

#[test]
fn the_worker_runs_without_rights_and_is_asked_to_stop_as_it_expects() {
    let recipe = recipe();
    let user = recipe.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(user != "0" && user != "root");
    assert!(recipe.contains(&format!("--uid {user} ")));
    for line in ["STOPSIGNAL SIGTERM", "ENTRYPOINT [\"/usr/local/bin/streamio-worker\"]", "VOLUME /scratch"] {
        assert!(recipe.lines().any(|found| found == line), "{line}");
    }
    assert_eq!(value("STREAMIO_SCRATCH"), "/scratch");
}
