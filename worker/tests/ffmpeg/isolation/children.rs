//! What a child cannot do in the sandbox, and can do without it.

use std::net::TcpListener;
use std::process::Stdio;

use streamio_worker::sandbox::{CHILD_USER, Sandbox};
use tokio::io::AsyncReadExt as _;

use super::super::harness::tools;
use super::attacker::{Attacker, NO_SUCH_CALL};

/// The sandbox of this machine. These tests need one that enforces everything.
fn sandbox() -> Sandbox {
    let sandbox = tools().sandbox;
    let measures = sandbox.measures().unwrap();
    assert!(
        measures.landlock >= 4 && measures.system_calls,
        "the tests of the sandbox need Linux 6.7 with Landlock and seccomp: {measures:?}"
    );
    assert_eq!(measures.user, rustix::process::geteuid().is_root().then_some(CHILD_USER));
    sandbox
}

/// Does every act with and without the sandbox, and fails if one succeeds in it, or fails without it.
async fn check(attacker: &Attacker, acts: &[(&str, String)]) {
    let (sandbox, off) = (sandbox(), Sandbox::off());
    for (act, argument) in acts {
        assert_ne!(
            attacker.act(&sandbox, act, argument).await,
            0,
            "{act} {argument} succeeded in the sandbox"
        );
        assert_eq!(attacker.act(&off, act, argument).await, 0, "{act} {argument} failed without the sandbox");
    }
}

#[tokio::test]
async fn a_child_reads_and_changes_no_file_outside_of_its_scratch_directory() {
    let attacker = Attacker::new().await;
    let victim = attacker.victim.display().to_string();
    let new = attacker.victim.with_file_name("new").display().to_string();
    let folder = attacker.victim.parent().unwrap().display().to_string();
    // The working directory of the tests is the crate's folder.
    let manifest = std::env::current_dir().unwrap().join("Cargo.toml").display().to_string();
    check(
        &attacker,
        &[
            ("read", manifest),
            ("read", "/etc/passwd".to_owned()),
            ("read", victim.clone()),
            ("read", "../../victim".to_owned()),
            ("list", folder),
            ("list", "/".to_owned()),
            ("write", victim.clone()),
            ("write", new.clone()),
            ("symlink", victim.clone()),
            ("hardlink", victim.clone()),
            ("fifo", String::new()),
            ("truncate", victim.clone()),
            ("remove", victim),
            ("execute", "/bin/true".to_owned()),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_child_reads_and_writes_in_its_scratch_directory() {
    let attacker = Attacker::new().await;
    for (act, argument) in [("write", "file"), ("list", "."), ("read", "/dev/null"), ("nothing", "")] {
        assert_eq!(attacker.act(&sandbox(), act, argument).await, 0, "{act} {argument}");
    }
}

#[tokio::test]
async fn a_child_connects_to_nothing_but_the_relay() {
    let attacker = Attacker::new().await;
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    check(&attacker, &[("connect", port.clone()), ("fastopen", port)]).await;
    let acts = ["bind", "udp", "unix", "netlink"].map(|act| (act, String::new()));
    check(&attacker, &acts).await;
    let relay = attacker.relay.input().port().to_string();
    assert_eq!(attacker.act(&sandbox(), "connect", &relay).await, 0);
    assert_ne!(attacker.act_with(None, &sandbox(), "connect", &relay).await, 0, "a child without a source");
}

#[tokio::test]
async fn a_child_cannot_reach_other_processes_or_start_any() {
    let attacker = Attacker::new().await;
    // A process of the user that children have.
    let mut other = tokio::process::Command::new(&attacker.program);
    other.arg("wait").stdout(Stdio::piped()).kill_on_drop(true);
    if rustix::process::geteuid().is_root() {
        other.uid(CHILD_USER).gid(CHILD_USER);
    }
    let mut other = other.spawn().unwrap();
    let mut ready = [0; 6];
    other.stdout.take().unwrap().read_exact(&mut ready).await.unwrap();
    let id = other.id().unwrap().to_string();
    let environment = format!("/proc/{id}/environ");
    let mut acts = vec![("read", environment), ("signal", id.clone()), ("spawn", String::new())];
    // An ordinary user may not trace its own processes everywhere (Yama).
    if rustix::process::geteuid().is_root() {
        acts.extend([("memory", id.clone()), ("trace", id.clone())]);
    }
    check(&attacker, &acts).await;
    for act in ["trace", "memory"] {
        assert_eq!(attacker.act(&sandbox(), act, &id).await, NO_SUCH_CALL, "{act}");
    }
    other.kill().await.unwrap();
}

#[tokio::test]
async fn system_calls_that_decoders_do_not_need_do_not_exist_for_a_child() {
    let attacker = Attacker::new().await;
    let calls = [
        "unshare",
        "mount",
        "keyring",
        "io_uring",
        "userfaultfd",
        "bpf",
        "mptcp",
        "symlink",
        "hardlink",
        "chmod",
        "fifo",
        "shared-memory",
    ];
    for act in calls {
        let own = attacker.program.display().to_string();
        assert_eq!(attacker.act(&sandbox(), act, &own).await, NO_SUCH_CALL, "{act}");
        assert_ne!(
            attacker.act(&Sandbox::off(), act, &own).await,
            NO_SUCH_CALL,
            "{act}: this kernel does not have it"
        );
    }
}

#[tokio::test]
async fn a_child_inherits_neither_rights_nor_files_and_has_limits() {
    let attacker = Attacker::new().await;
    // As the platform may have inherited it from a program that started it.
    let inherited = std::fs::File::open(&attacker.victim).unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
    let mut acts = vec!["inherit", "dump", "privileges", "unlimited-time", "allocate", "large-file"];
    if rustix::process::geteuid().is_root() {
        acts.push("root");
    }
    let acts: Vec<_> = acts.into_iter().map(|act| (act, String::new())).collect();
    check(&attacker, &acts).await;
}

#[tokio::test]
async fn a_child_has_a_lower_priority_than_the_platform() {
    let own = rustix::process::getpriority_process(None).unwrap();
    assert!(own < 19, "this test needs a priority that can be lowered");
    check(&Attacker::new().await, &[("equal-priority", own.to_string())]).await;
}

#[tokio::test]
async fn a_program_that_cannot_be_started_in_the_sandbox_is_a_fault_of_the_machine() {
    let attacker = Attacker::new().await;
    let script = attacker.program.with_file_name("script");
    std::fs::copy(&attacker.program, &script).unwrap();
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    let invocation = streamio_worker::process::Invocation {
        program: script.display().to_string(),
        args: vec![],
        directory: None,
        input: None,
        bounds: None,
        sandbox: sandbox(),
    };
    let error = invocation.capture(std::time::Duration::from_mins(1), 10).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("cannot start") && text.contains(&invocation.program), "{text}");
}
