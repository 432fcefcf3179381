//! Tests with folders in place of groups, and with the groups of this system.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::*;

const MEBIBYTE: u64 = 1024 * 1024;
const UNLIMITED: Limits = Limits { memory: None, processes: 1000 };

/// Only a defect makes a killed process outlive this.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Waits until `is_so`. The end of a process that is not a child can only be polled.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started_at = Instant::now();
    while !is_so() {
        assert!(started_at.elapsed() < TIMEOUT, "{what}: not after {TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A group of this system for one test. Dropping it fails the test if a group below it is left.
struct SystemGroup {
    subtree: Subtree,
    path: PathBuf,
    /// Whether groups below it have limits.
    controllers: Controllers,
    _group: Option<ControlGroup>,
}

impl SystemGroup {
    /// `None`, with a message, where this system leaves no group to the tests: they need root outside of a service, or
    /// `systemd-run --user --scope --property=Delegate=yes`.
    fn new() -> Option<Self> {
        let group = Subtree::detect().and_then(|subtree| subtree.group(UNLIMITED).ok());
        let Some(group) = group else {
            eprintln!("the groups of this system are not tested: none is left to this process");
            return None;
        };
        let path = group.path().to_owned();
        controllers::enable(&path, &["memory", "pids"]).unwrap();
        let enabled = std::fs::read_to_string(path.join("cgroup.subtree_control")).unwrap();
        let has = |name| enabled.split_whitespace().any(|one| one == name);
        let controllers = Controllers { memory: has("memory"), processes: has("pids") };
        let subtree = Subtree::at(path.clone()).unwrap();
        Some(Self { subtree, path, controllers, _group: Some(group) })
    }

    /// Runs `script` in a shell in a new group with `limits`. Returns the group, the end of the shell and its output.
    fn run(&self, limits: Limits, script: &str) -> (ControlGroup, ExitStatus, String) {
        let group = self.subtree.group(limits).unwrap();
        let output = Command::new("sh")
            .args(["-c", &format!("echo 0 > \"$1\"/cgroup.procs && {{ {script}\n}}"), "sh"])
            .arg(group.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        (group, output.status, String::from_utf8(output.stdout).unwrap())
    }
}

impl Drop for SystemGroup {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let is_alone = || {
            self.subtree.leftovers.remove();
            std::fs::read_dir(&self.path).unwrap().all(|entry| !entry.unwrap().path().is_dir())
        };
        wait_until("no group is left", is_alone);
    }
}

#[test]
fn limits_are_set_for_the_controllers_that_the_group_has() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { memory: Some(5 * MEBIBYTE), processes: 7 };
    let path = directory.path().join("without");
    let group = ControlGroup::new(path.clone(), limits, Arc::default()).unwrap();
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    drop(group);
    assert!(!path.exists());

    let path = directory.path().to_owned();
    let files = ["memory.max", "memory.swap.max", "memory.oom.group", "pids.max"];
    for file in files {
        std::fs::write(path.join(file), "max\n").unwrap();
    }
    let group = ControlGroup { path: path.clone(), leftovers: Arc::default() };
    group.limit(limits).unwrap();
    assert_eq!(
        files.map(|file| std::fs::read_to_string(path.join(file)).unwrap()),
        ["5242880", "0", "1", "7"]
    );
}

#[test]
fn the_limit_on_memory_has_room_for_files_in_memory() {
    let bounds = Bounds { processor_time: TIMEOUT, memory: MEBIBYTE, file: 3 * MEBIBYTE };
    let memory = |directory: Option<&str>| Limits::of(Some(bounds), directory.map(Path::new)).memory.unwrap();
    assert_eq!(memory(None), bounds.memory_here());
    assert_eq!(memory(Some("/proc")), memory(None));
    if cfg!(target_os = "linux") {
        assert_eq!(memory(Some("/dev/shm")), memory(None) + 3 * MEBIBYTE);
    }
    assert_eq!(Limits::of(None, None).memory, None);
}

#[test]
fn only_a_kill_at_the_limit_of_the_group_itself_counts() {
    let events = |oom: u64, kills: u64| {
        format!("low 0\nhigh 0\nmax 12\noom {oom}\noom_kill {kills}\noom_group_kill {kills}\n")
    };
    for (oom, kills, expected) in [(0, 0, false), (1, 1, true), (20, 3, true), (0, 1, false), (1, 0, false)] {
        assert_eq!(has_exceeded(&events(oom, kills)), expected, "{oom} {kills}");
    }
    assert!(!has_exceeded(""));
}

#[test]
fn controllers_are_enabled_that_the_group_has() {
    let directory = tempfile::tempdir().unwrap();
    for (present, enabled, expected) in [
        ("cpu memory pids\n", "\n", "+memory +pids"),
        ("cpu memory pids\n", "memory\n", "+pids"),
        ("cpu memory pids\n", "memory pids\n", "memory pids\n"),
        ("memory\n", "\n", "+memory"),
        ("hugetlb\n", "\n", "\n"),
    ] {
        let enabled_file = directory.path().join("cgroup.subtree_control");
        std::fs::write(directory.path().join("cgroup.controllers"), present).unwrap();
        std::fs::write(&enabled_file, enabled).unwrap();
        controllers::enable(directory.path(), &["memory", "pids"]).unwrap();
        assert_eq!(std::fs::read_to_string(&enabled_file).unwrap(), expected, "{present} {enabled}");
    }
}

#[test]
fn only_empty_groups_of_workers_that_have_ended_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let subtree = Subtree::at(directory.path().to_owned()).unwrap();
    // The numbers of processes are below 4,194,304.
    let left = ["streamio-ffmpeg-4194305-1-0", "streamio-ffmpeg-4194305-1-1"];
    let living = subtree.group(UNLIMITED).unwrap();
    let others = ["streamio-main", "streamio-ffmpeg-x", "other"];
    for name in left.iter().chain(&others) {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    // The folder cannot be removed, as that of a group with a process.
    std::fs::write(directory.path().join(left[1]).join("process"), "").unwrap();
    subtree.remove_abandoned();
    assert!(!directory.path().join(left[0]).exists());
    assert!(directory.path().join(left[1]).exists() && living.path().exists());
    assert!(others.iter().all(|name| directory.path().join(name).exists()));
}

#[test]
fn everything_in_a_group_ends_with_it() {
    let Some(system) = SystemGroup::new() else { return };
    // In a session of its own, so that no signal to the shell's process group reaches it.
    let (group, status, output) =
        system.run(UNLIMITED, "setsid sh -c 'trap \"\" TERM HUP; echo $$; exec >&-; exec sleep 600' &");
    assert!(status.success(), "{status}");
    let id: u32 = output.trim().parse().unwrap();
    let is_alive = || {
        std::fs::read_to_string(format!("/proc/{id}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
    };
    assert!(is_alive());
    let path = group.path().to_owned();
    drop(group);
    wait_until("the process has ended", || !is_alive());
    wait_until("the group is removed", || {
        system.subtree.leftovers.remove();
        !path.exists()
    });
}

/// Keeps 200 MiB in memory.
const LARGE: &str = "head -c 200M /dev/zero | tail >/dev/null";

#[test]
fn a_process_that_exceeds_the_memory_of_its_group_is_killed() {
    let Some(system) = SystemGroup::new() else { return };
    let (group, status, _) = system.run(Limits { memory: Some(50 * MEBIBYTE), processes: 1000 }, LARGE);
    let is_limited = system.controllers.memory;
    assert_eq!((status.signal(), group.exceeded_memory()), (is_limited.then_some(9), is_limited));
    let (group, status, _) = system.run(Limits { memory: Some(1000 * MEBIBYTE), processes: 1000 }, LARGE);
    assert!(status.success() && !group.exceeded_memory(), "{status}");
}

#[test]
fn a_process_that_is_killed_because_there_is_no_memory_above_its_group_did_not_exceed_it() {
    let Some(system) = SystemGroup::new() else { return };
    let is_limited = system.controllers.memory;
    if is_limited {
        write(&system.path, "memory.max", &(50 * MEBIBYTE).to_string()).unwrap();
    }
    let (group, status, _) = system.run(Limits { memory: Some(1000 * MEBIBYTE), processes: 1000 }, LARGE);
    assert_eq!((status.signal(), group.exceeded_memory()), (is_limited.then_some(9), false));
}

#[test]
fn the_processes_of_a_group_are_limited() {
    let Some(system) = SystemGroup::new() else { return };
    let script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 600 >&- & done";
    let (group, _, _) = system.run(Limits { memory: None, processes: 5 }, script);
    let processes = std::fs::read_to_string(group.path().join(PROCESSES)).unwrap().lines().count();
    // The shell itself has ended.
    assert_eq!(processes, if system.controllers.processes { 4 } else { 9 });
}

#[test]
fn processes_of_the_group_are_moved_where_they_prevent_limits() {
    let Some(system) = SystemGroup::new() else { return };
    let group = system.subtree.group(UNLIMITED).unwrap();
    let mut processes: Vec<_> = (0..3).map(|_| Command::new("sleep").arg("600").spawn().unwrap()).collect();
    for process in &processes {
        write(group.path(), PROCESSES, &process.id().to_string()).unwrap();
    }
    controllers::enable(group.path(), &["memory", "pids"]).unwrap();
    let enabled = std::fs::read_to_string(group.path().join("cgroup.subtree_control")).unwrap();
    let main = group.path().join(delegation::MAIN);
    let moved = std::fs::read_to_string(main.join(PROCESSES)).unwrap_or_default().lines().count();
    let Controllers { memory, processes: pids } = system.controllers;
    assert_eq!((enabled.contains("memory"), enabled.contains("pids")), (memory, pids));
    assert_eq!(moved, if memory || pids { 3 } else { 0 });
    for process in &mut processes {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let _ = std::fs::remove_dir(main);
}
