//! Child processes, each in a separate process group that does not outlive this process.
//!
//! The process group allows a whole tree (cargo, rustc, a test binary, its servers) to be stopped together. A terminal's
//! Ctrl-C does not reach the groups, so this process handles signals and sends SIGTERM to the groups, then SIGKILL after a
//! grace period or at the second signal.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The time between SIGTERM and SIGKILL.
const GRACE_PERIOD: Duration = Duration::from_secs(10);

static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// The error of a command that a signal interrupted.
#[derive(Debug)]
pub(crate) struct Interrupted {
    signal: i32,
}

impl Interrupted {
    /// Returns 128 plus the signal's number, as shells do.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::try_from(128 + self.signal).unwrap_or(u8::MAX))
    }
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "interrupted by signal {}; the child processes were stopped", self.signal)
    }
}

impl std::error::Error for Interrupted {}

/// Installs handlers of SIGINT, SIGTERM and SIGHUP that stop all children. A pending wait then returns [`Interrupted`].
pub(crate) fn end_children_on_signals() -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("could not install the signal handlers")?;
    thread::spawn(move || {
        for signal in signals.forever() {
            if CAUGHT.swap(signal, Ordering::SeqCst) == 0 {
                signal_all_groups(Signal::TERM);
                thread::spawn(move || {
                    thread::sleep(GRACE_PERIOD);
                    signal_all_groups(Signal::KILL);
                    // Usually the main thread has exited by now. Exit anyway if it is blocked elsewhere.
                    thread::sleep(GRACE_PERIOD);
                    std::process::exit(128 + signal);
                });
            } else {
                signal_all_groups(Signal::KILL);
            }
        }
    });
    Ok(())
}

/// Fails with [`Interrupted`] if a signal was received.
pub(crate) fn check_interrupted() -> Result<()> {
    match CAUGHT.load(Ordering::SeqCst) {
        0 => Ok(()),
        signal => Err(Interrupted { signal }.into()),
    }
}

fn signal_all_groups(signal: Signal) {
    for group in GROUPS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        // Fails if the group has already ended, which is not an error.
        let _ = kill_process_group(*group, signal);
    }
}

/// A running child, the leader of its process group. Dropping it stops the group.
pub(crate) struct Running {
    child: Child,
    group: Pid,
    name: String,
}

impl Running {
    /// Starts `command` with an empty standard input.
    pub(crate) fn start(command: Command) -> Result<Self> {
        Self::start_with(command, Stdio::null())
    }

    /// Starts `command` with this standard input.
    pub(crate) fn start_with(mut command: Command, stdin: Stdio) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(stdin).process_group(0);
        // The lock is held during the start, so that the signal handler never misses a started child.
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        check_interrupted()?;
        let child = command.spawn().map_err(|error| start_error(&name, error))?;
        let group = Pid::from_child(&child);
        groups.push(group);
        Ok(Self { child, group, name })
    }

    /// Returns the child, to access its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the child ends. Fails with [`Interrupted`] if a signal was received.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait().with_context(|| format!("could not wait for `{}`", self.name))?;
        self.forget_group();
        check_interrupted()?;
        Ok(status)
    }

    /// Stops the group with SIGTERM, and with SIGKILL if the child has not ended after the grace period.
    pub(crate) fn stop(&mut self) -> io::Result<ExitStatus> {
        // After a received signal, SIGTERM has already been sent. Some programs abort at the second one.
        if check_interrupted().is_ok() {
            let _ = kill_process_group(self.group, Signal::TERM);
        }
        let deadline = Instant::now() + GRACE_PERIOD;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                let _ = kill_process_group(self.group, Signal::KILL);
                break self.child.wait()?;
            }
            thread::sleep(Duration::from_millis(20));
        };
        self.forget_group();
        Ok(status)
    }

    /// Sends a signal to the group, without waiting.
    pub(crate) fn signal(&self, signal: Signal) {
        // Fails if the group has already ended, which is not an error.
        let _ = kill_process_group(self.group, signal);
    }

    /// Kills the group with SIGKILL, and waits until the child has ended.
    pub(crate) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let status = self.child.wait()?;
        self.forget_group();
        Ok(status)
    }

    /// Kills the remaining processes of the group, and removes the group from the list.
    fn forget_group(&mut self) {
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = groups.iter().position(|group| *group == self.group) {
            let _ = kill_process_group(self.group, Signal::KILL);
            groups.swap_remove(index);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let registered = GROUPS.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.group);
        if registered {
            let _ = self.stop();
        }
    }
}

fn start_error(name: &str, error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::NotFound {
        anyhow::anyhow!("`{name}` is not on PATH: install it and run this again")
    } else {
        anyhow::Error::new(error).context(format!("could not start `{name}`"))
    }
}

/// Runs a command that prints to the terminal. Fails unless the exit status is 0.
pub(crate) fn run(command: impl Into<Command>) -> Result<()> {
    let command = command.into();
    let line = command_line(&command);
    let status = Running::start(command)?.wait()?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns its output. The exit status may be any.
pub(crate) fn capture(command: impl Into<Command>) -> Result<Output> {
    let mut command = command.into();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(command)?;
    let stdout = drain(running.child().stdout.take());
    let stderr = drain(running.child().stderr.take());
    let status = running.wait()?;
    let collect = |reader: thread::JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Output { status, stdout: collect(stdout), stderr: collect(stderr) })
}

/// Runs a command and returns its standard output. Fails unless the exit status is 0; the error contains the end of the
/// output.
pub(crate) fn capture_ok(command: impl Into<Command>) -> Result<String> {
    let command = command.into();
    let line = command_line(&command);
    let output = capture(command)?;
    if !output.status.success() {
        let printed = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        bail!(
            "`{line}` ended with {}:\n{}",
            output.status,
            last_lines(&String::from_utf8_lossy(printed), 20)
        );
    }
    text(output.stdout, &line)
}

/// Runs a command that prints progress and errors to the terminal, and returns its standard output. Fails unless the exit
/// status is 0.
pub(crate) fn stdout_of(command: impl Into<Command>) -> Result<String> {
    let mut command = command.into();
    let line = command_line(&command);
    command.stdout(Stdio::piped());
    let mut running = Running::start(command)?;
    let stdout = drain(running.child().stdout.take());
    let status = running.wait()?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    text(stdout.join().unwrap_or_default(), &line)
}

fn text(bytes: Vec<u8>, line: &str) -> Result<String> {
    String::from_utf8(bytes).with_context(|| format!("`{line}` printed something that is not UTF-8"))
}

fn drain(pipe: Option<impl io::Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // After a read error the bytes read so far are returned.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Returns the last `count` lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Returns the program and its arguments, for messages. Omits the program's folder, and URLs, which have signatures.
fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = std::iter::once(program.file_name().unwrap_or(program.as_os_str())).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .map(|word| if word.contains("://") { "<url>".into() } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Running, capture, capture_ok, command_line, last_lines, run};
    use rustix::process::Signal;
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{ChildStdout, Command, Stdio};

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// Starts a script and waits for the line `ready`, after which its signal handlers are set. Returns the script and its output.
    fn started(script: &str) -> (Running, BufReader<ChildStdout>) {
        let mut command = sh(script);
        command.stdout(Stdio::piped());
        let mut running = Running::start(command).unwrap();
        let mut output = BufReader::new(running.child().stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        (running, output)
    }

    /// Every process of the tree has the pipe open, so it is closed when the last process has ended.
    fn assert_whole_tree_ends(mut output: BufReader<ChildStdout>) {
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn killing_ends_a_group_that_ignores_sigterm() {
        let (mut running, output) = started("trap '' TERM; sleep 1000 & echo ready; wait");
        running.signal(Signal::TERM);
        let status = running.kill().unwrap();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
        assert_whole_tree_ends(output);
    }

    #[test]
    fn a_failing_command_is_an_error_with_the_command_and_its_output() {
        let error = capture_ok(sh("echo broken pipe dreams >&2; exit 3")).unwrap_err().to_string();
        assert!(
            error.contains("sh -c") && error.contains("exit status: 3") && error.contains("pipe dreams"),
            "{error}"
        );
        assert!(run(sh("exit 4")).unwrap_err().to_string().contains("exit status: 4"));
    }

    #[test]
    fn the_error_names_a_missing_program() {
        let error = run(Command::new("no-such-program-here")).unwrap_err().to_string();
        assert!(error.contains("`no-such-program-here` is not on PATH"), "{error}");
    }

    #[test]
    fn a_child_that_fills_both_pipes_is_captured_completely() {
        let output = capture(sh("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2")).unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (300_000, 300_000));
    }

    #[test]
    fn stopping_a_child_ends_the_whole_tree_with_sigterm() {
        let (mut running, output) = started("trap 'exit 7' TERM; sleep 1000 & echo ready; wait");
        assert_eq!(running.stop().unwrap().code(), Some(7));
        assert_whole_tree_ends(output);
    }

    #[test]
    fn dropping_a_child_ends_the_whole_tree() {
        let (running, output) = started("sleep 1000 & echo ready; wait");
        drop(running);
        assert_whole_tree_ends(output);
    }

    #[test]
    fn remaining_processes_of_the_group_end_with_the_child() {
        let (mut running, output) = started("sleep 1000 & echo ready");
        assert!(running.wait().unwrap().success());
        assert_whole_tree_ends(output);
    }

    #[test]
    fn a_panic_ends_the_child() {
        let (running, output) = started("sleep 1000 & echo ready; wait");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _running = running;
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        assert_whole_tree_ends(output);
    }

    #[test]
    fn the_status_of_a_stopped_child_is_sigterm() {
        let (mut running, _output) = started("echo ready; exec sleep 1000");
        assert_eq!(running.stop().unwrap().signal(), Some(Signal::TERM.as_raw()));
    }

    #[test]
    fn urls_are_omitted_from_messages_because_they_have_signatures() {
        let mut command = Command::new("/usr/bin/ffprobe");
        command.args(["-i", "http://127.0.0.1/a?Signature=secret"]);
        assert_eq!(command_line(&command), "ffprobe -i <url>");
    }

    #[test]
    fn the_last_lines_of_a_short_text_are_all_lines() {
        assert_eq!(last_lines("a\nb\n", 20), "a\nb");
        assert_eq!(last_lines("a\nb\nc\n\n", 2), "b\nc");
    }
}
