//! The worker's program as an ordinary user.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use streamio_events::video::Phase;

use super::super::program::{ProgramHarness, long};

/// The user `nobody`, or the one that runs the tests, if it is not root.
fn ordinary_user() -> u32 {
    let own = rustix::process::geteuid();
    if own.is_root() { 65534 } else { own.as_raw() }
}

/// Gives `path` and all that it contains to `user`.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

/// Reads the environment of `process` as `user`.
fn environment(process: u32, user: u32) -> Output {
    let mut cat = Command::new("cat");
    cat.arg(format!("/proc/{process}/environ"));
    if rustix::process::geteuid().is_root() {
        cat.uid(user).gid(user);
    }
    cat.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_of_an_ordinary_user_publishes_and_hides_its_credentials_from_that_user() {
    let harness = ProgramHarness::new("clip.mp4", &long()).await;
    let (directory, user) = (harness.directory.path(), ordinary_user());
    let program = directory.join("streamio-worker");
    std::fs::copy(env!("CARGO_BIN_EXE_streamio-worker"), &program).unwrap();
    if rustix::process::geteuid().is_root() {
        give(directory, user);
    }
    let of_user = |mut command: tokio::process::Command| {
        if rustix::process::geteuid().is_root() {
            command.uid(user).gid(user);
        }
        command.kill_on_drop(true).spawn().unwrap()
    };
    let mut other = tokio::process::Command::new("sleep");
    other.arg("600").env("KEY", "hidden");
    let mut other = of_user(other);
    let mut worker = of_user(harness.command(&program));
    let _pipe = worker.stdin.take();
    harness.wait_for_progress().await;
    let output = environment(worker.id().unwrap(), user);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    let output = environment(other.id().unwrap(), user);
    assert!(String::from_utf8_lossy(&output.stdout).contains("KEY=hidden"), "another process: {output:?}");
    other.kill().await.unwrap();
    let output = worker.wait_with_output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(harness.video().await.phase, Phase::Ready);
    // Whether a control group is left to that user depends on the system.
    let missing = stderr.lines().filter(|line| line.contains("not isolated completely"));
    assert!(missing.into_iter().all(|line| line.contains("control group")), "{stderr}");
}
