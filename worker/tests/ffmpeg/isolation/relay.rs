//! Who may read a source from the relay.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use streamio_worker::sandbox::Sandbox;

use super::super::harness::tools;
use super::attacker::Attacker;

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_has_the_url_from_the_process_list_is_refused_as_any_user() {
    let attacker = Attacker::new().await;
    let mut users = vec![None];
    if rustix::process::geteuid().is_root() {
        // The user `nobody`, and the one of FFmpeg.
        users.extend([Some(65534), Some(streamio_worker::sandbox::CHILD_USER)]);
    }
    for user in users {
        let mut command = Command::new(&attacker.program);
        command.args(["request", &attacker.request()]);
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let status = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
        assert_eq!(status.code(), Some(rustix::io::Errno::ACCESS.raw_os_error()), "{user:?}");
    }
}

#[tokio::test]
async fn a_child_that_was_started_for_the_source_reads_it_in_the_sandbox_and_without_one() {
    let attacker = Attacker::new().await;
    for sandbox in [tools().sandbox, Sandbox::off()] {
        assert_eq!(attacker.act(&sandbox, "request", &attacker.request()).await, 0);
    }
}

#[tokio::test]
async fn a_child_that_was_started_for_another_source_is_refused() {
    let (attacker, other) = (Attacker::new().await, Attacker::new().await);
    for sandbox in [tools().sandbox, Sandbox::off()] {
        let status =
            attacker.act_with(Some(other.relay.input()), &sandbox, "request", &attacker.request()).await;
        assert_eq!(status, rustix::io::Errno::ACCESS.raw_os_error());
    }
}
