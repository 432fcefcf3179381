//! Tests with a shell as the child.

use std::time::Duration;

use super::*;

fn shell(script: &str) -> Invocation {
    Invocation {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        directory: Some(std::env::temp_dir()),
        input: None,
        bounds: None,
        // The library's tests have no program to be the launcher. `tests/ffmpeg/isolation` has the tests with one.
        sandbox: Sandbox::off(),
    }
}

fn is_alive(pid: &str) -> bool {
    // A zombie that init has not reaped yet counts as dead.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

async fn wait_until_dead(pid: &str) {
    let started_at = std::time::Instant::now();
    while is_alive(pid) {
        assert!(started_at.elapsed() < Duration::from_secs(30), "process {pid} is still alive");
        // The end of a process that is not a child can only be polled.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn output_is_captured_with_the_exit_status() {
    let output = shell("echo out; echo err >&2; exit 3").capture(Duration::from_secs(10), 100).await.unwrap();
    assert_eq!(
        (output.end.status.code(), output.stdout.as_slice(), output.stderr.as_str()),
        (Some(3), b"out\n".as_slice(), "err\n")
    );
}

#[tokio::test]
async fn a_child_that_writes_too_much_is_killed() {
    let result = shell("while :; do echo y; done").capture(Duration::from_mins(1), 1000).await;
    assert!(matches!(result, Err(CaptureError::TooMuchOutput { limit: 1000, .. })), "{result:?}");
}

#[tokio::test]
async fn a_child_and_its_descendants_are_killed_at_the_time_limit_even_if_they_ignore_sigterm() {
    for leader in ["trap '' TERM;", ""] {
        let directory = tempfile::tempdir().unwrap();
        let script =
            format!("{leader} sh -c 'trap \"\" TERM; echo $$ > inner; while :; do sleep 600; done' & wait");
        let mut invocation = shell(&script);
        invocation.directory = Some(directory.path().to_owned());
        let inner = directory.path().join("inner");
        let result = invocation.capture(Duration::from_secs(1), 100).await;
        assert!(matches!(result, Err(CaptureError::Timeout { .. })), "{result:?}");
        wait_until_dead(std::fs::read_to_string(inner).unwrap().trim()).await;
    }
}

#[tokio::test]
async fn dropping_an_encoder_kills_its_group_even_while_it_is_paused() {
    for paused in [false, true] {
        let encoder = shell("sleep 600 & echo out_time_us=$!; echo progress=continue; wait").start().unwrap();
        let mut progress = encoder.progress();
        let report = *progress.wait_for(|report| report.out_time.is_some()).await.unwrap();
        if paused {
            encoder.pause();
        }
        drop(encoder);
        wait_until_dead(&report.out_time.unwrap().as_micros().to_string()).await;
    }
}

#[tokio::test]
async fn a_child_inherits_only_the_allowed_environment_variables() {
    let output = shell("env").capture(Duration::from_secs(10), 100_000).await.unwrap();
    let names: Vec<_> = std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split('=').next())
        .filter(|name| !["PATH", "LD_LIBRARY_PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name))
        .collect();
    assert_eq!(names, Vec::<&str>::new());
}

#[tokio::test]
async fn the_error_for_a_missing_program_names_it() {
    let mut invocation = shell("");
    invocation.program = "no-such-program".into();
    let error = invocation.capture(Duration::from_secs(1), 1).await.unwrap_err();
    assert!(error.to_string().contains("`no-such-program`"), "{error}");
}
