//! Processes end with their environment, their service and the emulator.

use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use serde_json::json;

use super::{NAME, echo, service};
use streamio_emulator::lambda::FunctionConfig;

fn pid(value: &serde_json::Value) -> Pid {
    Pid::from_raw(i32::try_from(value.as_i64().unwrap()).unwrap()).unwrap()
}

/// Whether a process runs. A zombie does not.
fn runs(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let is_zombie = status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
    test_kill_process(pid).is_ok() && !is_zombie
}

async fn assert_ends(pid: Pid) {
    for _ in 0..200 {
        if !runs(pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("process {pid:?} still runs");
}

#[tokio::test]
async fn an_environment_ends_with_its_child_processes_when_the_service_is_dropped() {
    let service = service();
    let child = pid(&service.invoke_json(NAME, &json!("spawn")).await.unwrap());
    assert!(runs(child));
    drop(service);
    assert_ends(child).await;
}

#[tokio::test]
async fn stopping_ends_pending_invocations() {
    let service = service();
    let child = pid(&service.invoke_json(NAME, &json!("spawn")).await.unwrap());
    let sleeping = tokio::spawn({
        let service = service.clone();
        async move { service.invoke_json(NAME, &json!({ "sleep": 60_000 })).await }
    });
    while service.counters(NAME).unwrap().invocations < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    service.stop().await;
    sleeping.await.unwrap().unwrap_err();
    assert_ends(child).await;
}

#[tokio::test]
async fn an_idle_environment_is_ended_and_the_next_event_starts_another() {
    let service = service();
    let child = pid(&service.invoke_json(NAME, &json!("spawn")).await.unwrap());
    service.end_idle(NAME).unwrap();
    assert_ends(child).await;
    service.invoke_json(NAME, &echo(1)).await.unwrap();
    assert_eq!(service.counters(NAME).unwrap().starts, 2);
}

#[tokio::test]
async fn an_environment_whose_process_ends_between_invocations_fails_no_invocation() {
    let (service, folder) = (service(), tempfile::tempdir().unwrap());
    let event = json!({ "append": { "file": folder.path().join("effects"), "line": "a" } });
    let process = pid(&service.invoke_json(NAME, &event).await.unwrap());
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    // It may receive an event until it has ended.
    assert_ends(process).await;
    assert_ne!(pid(&service.invoke_json(NAME, &event).await.unwrap()), process);
    let counters = service.counters(NAME).unwrap();
    assert_eq!((counters.starts, counters.failures()), (2, 0));
}

#[tokio::test]
async fn registering_a_function_again_replaces_its_environments() {
    let service = service();
    let child = pid(&service.invoke_json(NAME, &json!("spawn")).await.unwrap());
    let mut config = super::function();
    config.environment = vec![("VERSION".into(), "2".into())];
    service.register(config);
    assert_ends(child).await;
    let response = service.invoke_json(NAME, &json!("context")).await.unwrap();
    assert_eq!(response["environment"]["VERSION"], "2");
}

/// The service runs in a separate process, which is killed with SIGKILL. This test executes itself again as that process.
#[tokio::test]
async fn no_process_outlives_a_service_whose_process_is_killed() {
    const ROLE: &str = "STREAMIO_TEST_SERVICE_PROCESS";
    if std::env::var_os(ROLE).is_some() {
        let service = super::service_with(FunctionConfig { concurrency: 1, ..super::function() });
        let child = service.invoke_json(NAME, &json!("spawn")).await.unwrap();
        println!("child {child} of a service");
        std::future::pending::<()>().await;
    }
    let name = "processes::no_process_outlives_a_service_whose_process_is_killed";
    let mut process = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ROLE, "1")
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(process.stdout.take().unwrap()));
    let child = loop {
        let line = lines.next_line().await.unwrap().expect("the process prints its child's id");
        if let Some(child) = line.split("child ").nth(1).and_then(|rest| rest.split(' ').next()) {
            break pid(&serde_json::from_str(child).unwrap());
        }
    };
    assert!(runs(child));
    process.kill().await.unwrap();
    assert_ends(child).await;
}
