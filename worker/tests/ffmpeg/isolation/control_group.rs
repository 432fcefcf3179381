//! The control group of a child. What it limits is tested where this system lets the tests make groups with those controllers; elsewhere the
//! same acts show that a child without them works, and that the measures say so.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use streamio_events::video::Phase;
use streamio_worker::diagnosis::{Fault, fault};
use streamio_worker::failure::{Failure, Resource};
use streamio_worker::process::Bounds;
use streamio_worker::sandbox::{Controllers, Sandbox};

use super::super::harness::tools;
use super::super::processes::{children, wait_until_dead};
use super::super::program::{ProgramHarness, long, short};
use super::attacker::{Attacker, BOUNDS};

const TIMEOUT: Duration = Duration::from_mins(1);

fn group_of(sandbox: &Sandbox) -> Option<Controllers> {
    sandbox.measures().unwrap().control_group
}

/// The groups that `worker` made for its children, found in all groups of this system.
fn groups_of(worker: u32) -> Vec<PathBuf> {
    fn search(folder: &Path, prefix: &str, found: &mut Vec<PathBuf>) {
        let folders = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in folders.filter(|path| path.is_dir()) {
            if path.file_name().unwrap().to_string_lossy().starts_with(prefix) {
                found.push(path.clone());
            }
            search(&path, prefix, found);
        }
    }
    let mut found = Vec::new();
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    if let Some(root) = roots.into_iter().find(|root| root.join("cgroup.controllers").exists()) {
        search(root, &format!("streamio-ffmpeg-{worker}-"), &mut found);
    }
    found
}

async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started_at = Instant::now();
    while !is_so().await {
        assert!(started_at.elapsed() < TIMEOUT, "{what}: not after {TIMEOUT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The id of the running child whose program is `program`; `None` before the launcher has become it.
fn child_of(program: &Path) -> Option<u32> {
    children(std::process::id()).into_iter().find(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).next() == Some(program.as_os_str().as_encoded_bytes())
    })
}

#[tokio::test]
async fn a_child_has_a_group_of_its_own_until_it_ends() {
    let attacker = Attacker::new().await;
    let sandbox = tools().sandbox;
    let mut ids = Vec::new();
    for stops in [true, false] {
        let mut encoder = attacker.invocation(&sandbox, "wait", "").start().unwrap();
        let mut child = None;
        wait_until("the program runs", async || {
            child = child_of(&attacker.program);
            child.is_some()
        })
        .await;
        let child = child.unwrap();
        let groups = std::fs::read_to_string(format!("/proc/{child}/cgroup")).unwrap();
        let name = groups.lines().find_map(|line| line.strip_prefix("0::")?.rsplit('/').next()).unwrap_or("");
        let own = format!("streamio-ffmpeg-{}-", std::process::id());
        assert_eq!(name.starts_with(&own), group_of(&sandbox).is_some(), "{groups}");
        assert!(!ids.contains(&name.to_owned()), "{name}");
        let exists = || groups_of(std::process::id()).iter().any(|path| path.ends_with(name));
        assert_eq!(exists(), group_of(&sandbox).is_some(), "{name}");
        if stops {
            encoder.stop().await;
            assert!(!exists(), "{name}");
        } else {
            drop(encoder);
            wait_until_dead(child).await;
            // A group that still had a process is removed when the next one is made.
            wait_until("the group is removed", async || {
                assert_eq!(attacker.act(&sandbox, "nothing", "").await, 0);
                !exists()
            })
            .await;
        }
        ids.push(name.to_owned());
    }
}

#[tokio::test]
async fn a_child_that_makes_the_kernel_use_too_much_memory_is_ended_as_a_fault_of_the_file() {
    let attacker = Attacker::new().await;
    let sandbox = tools().sandbox;
    let is_limited = group_of(&sandbox).is_some_and(|group| group.memory);
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    // More than the limit of the process with the stacks of its threads, which does not count page tables.
    let mebibytes = (16 + cores * 100 + 50).to_string();
    let mut invocation = attacker.invocation(&sandbox, "page-tables", &mebibytes);
    invocation.bounds = Some(Bounds { memory: 16 << 20, ..BOUNDS });
    let output = invocation.capture(TIMEOUT, 1000).await.unwrap();
    assert_eq!(output.end.exceeded_memory, is_limited, "{output:?}");
    if is_limited {
        assert_eq!(output.end.status.signal(), Some(9), "{output:?}");
        let fault = fault(output.end, &output.stderr);
        assert!(
            matches!(fault, Fault::File(Failure::TooComplex { resource: Resource::Memory })),
            "{fault:?}"
        );
    } else {
        assert_eq!(output.end.status.code(), Some(0), "{output:?}");
    }
}

#[tokio::test]
async fn a_child_cannot_start_threads_without_end() {
    let attacker = Attacker::new().await;
    let sandbox = tools().sandbox;
    let cores = std::thread::available_parallelism().unwrap().get();
    let threads = |count: usize| count.to_string();
    assert_eq!(attacker.act(&sandbox, "threads", &threads(128 + cores * 16)).await, 0);
    let is_limited = group_of(&sandbox).is_some_and(|group| group.processes);
    let many = attacker.act(&sandbox, "threads", &threads(300 + cores * 32)).await;
    let expected = if is_limited { rustix::io::Errno::AGAIN.raw_os_error() } else { 0 };
    assert_eq!(many, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_leaves_no_group() {
    let harness = ProgramHarness::new("clip.mp4", &short()).await;
    let mut worker = harness.start();
    let (id, _pipe) = (worker.id().unwrap(), worker.stdin.take());
    let output = worker.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(groups_of(id), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_group_that_a_killed_worker_left_is_removed_by_a_later_one() {
    let harness = ProgramHarness::new("clip.mp4", &long()).await;
    let mut worker = harness.start();
    let (id, _pipe) = (worker.id().unwrap(), worker.stdin.take());
    harness.wait_for_progress().await;
    let ffmpeg = children(id);
    assert_eq!(groups_of(id).is_empty(), group_of(&tools().sandbox).is_none());
    worker.kill().await.unwrap();
    for process in ffmpeg {
        wait_until_dead(process).await;
    }
    let other = ProgramHarness::new("other.mp4", &short()).await;
    let mut worker = other.start();
    let _pipe = worker.stdin.take();
    let output = worker.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(other.video().await.phase, Phase::Ready);
    assert_eq!(groups_of(id), Vec::<PathBuf>::new());
}
