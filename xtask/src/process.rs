//! Children, each in a process group of its own that never outlives this process.
//!
//! A group of its own lets a whole tree (cargo, rustc, a test binary, its servers) be ended at once. The price is
//! that a terminal's Ctrl-C no longer reaches the children by itself, so signals are caught here and passed on:
//! SIGTERM first, SIGKILL after a grace period or at the second signal.

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

/// How long a child may take to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// The run was ended by a signal, not by a failure.
#[derive(Debug)]
pub(crate) struct Interrupted {
    signal: i32,
}

impl Interrupted {
    /// 128 + the signal's number, as shells report it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::try_from(128 + self.signal).unwrap_or(u8::MAX))
    }
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ended by signal {}; its children were ended too", self.signal)
    }
}

impl std::error::Error for Interrupted {}

/// From here on SIGINT, SIGTERM and SIGHUP end all children, and the call that waits for one returns [`Interrupted`].
pub(crate) fn end_children_on_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("could not catch signals")?;
    thread::spawn(move || {
        for signal in signals.forever() {
            if CAUGHT.swap(signal, Ordering::SeqCst) == 0 {
                signal_all_groups(Signal::TERM);
                thread::spawn(move || {
                    thread::sleep(GRACE);
                    signal_all_groups(Signal::KILL);
                    // The main thread now returns from its wait. Should it be stuck elsewhere, end anyway.
                    thread::sleep(GRACE);
                    std::process::exit(128 + signal);
                });
            } else {
                signal_all_groups(Signal::KILL);
            }
        }
    });
    Ok(())
}

/// The error to return when a signal was caught.
pub(crate) fn check_interrupted() -> Result<()> {
    match CAUGHT.load(Ordering::SeqCst) {
        0 => Ok(()),
        signal => Err(Interrupted { signal }.into()),
    }
}

fn signal_all_groups(signal: Signal) {
    for group in GROUPS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        // A group that has just ended is not an error.
        let _ = kill_process_group(*group, signal);
    }
}

/// A running child, leader of its group. Dropping it ends the group, on every way out including a panic.
pub(crate) struct Running {
    child: Child,
    group: Pid,
    name: String,
}

impl Running {
    /// Starts `command` with an empty stdin: nothing here ever asks a question.
    pub(crate) fn start(command: Command) -> Result<Self> {
        Self::start_with(command, Stdio::null())
    }

    /// Starts `command` with this stdin.
    pub(crate) fn start_with(mut command: Command, stdin: Stdio) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(stdin).process_group(0);
        // The lock is held over the start, so that a signal finds either no child or a registered one.
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        check_interrupted()?;
        let child = command.spawn().map_err(|error| explain(&name, error))?;
        let group = Pid::from_child(&child);
        groups.push(group);
        Ok(Self { child, group, name })
    }

    /// The child itself, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end. An end that a caught signal brought about is [`Interrupted`].
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait().with_context(|| format!("waiting for `{}`", self.name))?;
        self.forget_group();
        check_interrupted()?;
        Ok(status)
    }

    /// Ends the group: SIGTERM, then SIGKILL when the child has not ended within the grace period.
    pub(crate) fn stop(&mut self) -> io::Result<ExitStatus> {
        // A caught signal was passed on already; a second one would mean "at once" to some.
        if check_interrupted().is_ok() {
            let _ = kill_process_group(self.group, Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
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

    /// Kills what the child may have left behind in its group, and takes the group off the list.
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

fn explain(name: &str, error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::NotFound {
        anyhow::anyhow!("`{name}` is not on PATH: install it and run this again")
    } else {
        anyhow::Error::new(error).context(format!("could not start `{name}`"))
    }
}

/// Runs a command whose output goes straight to the terminal; anything but exit code 0 is an error.
pub(crate) fn run(command: impl Into<Command>) -> Result<()> {
    let command = command.into();
    let line = shown(&command);
    let status = Running::start(command)?.wait()?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs a command and captures its output, whatever its exit code.
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

/// As [`capture`], and anything but exit code 0 is an error that carries the end of what the command said.
pub(crate) fn capture_ok(command: impl Into<Command>) -> Result<String> {
    let command = command.into();
    let line = shown(&command);
    let output = capture(command)?;
    if !output.status.success() {
        let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        bail!("`{line}` ended with {}:\n{}", output.status, last_lines(&String::from_utf8_lossy(said), 20));
    }
    text(output.stdout, &line)
}

/// Runs a command whose stderr (progress, errors) goes to the terminal, and returns what it printed on stdout.
pub(crate) fn answer(command: impl Into<Command>) -> Result<String> {
    let mut command = command.into();
    let line = shown(&command);
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
            // A read error means the pipe is gone: what arrived is what there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// The last `count` lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Program and arguments, for messages. Folders of programs are noise, and URLs carry signatures.
fn shown(command: &Command) -> String {
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
    use super::{Running, capture, capture_ok, last_lines, run, shown};
    use rustix::process::Signal;
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{ChildStdout, Command, Stdio};

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// A running script and its output, after it has printed its first line: from then on its traps are set.
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

    /// Every process of the tree holds the pipe, so its end is the end of the last of them.
    fn assert_whole_tree_ends(mut output: BufReader<ChildStdout>) {
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_the_command_and_what_it_said() {
        let error = capture_ok(sh("echo broken pipe dreams >&2; exit 3")).unwrap_err().to_string();
        assert!(
            error.contains("sh -c") && error.contains("exit status: 3") && error.contains("pipe dreams"),
            "{error}"
        );
        assert!(run(sh("exit 4")).unwrap_err().to_string().contains("exit status: 4"));
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = run(Command::new("no-such-program-here")).unwrap_err().to_string();
        assert!(error.contains("`no-such-program-here` is not on PATH"), "{error}");
    }

    #[test]
    fn a_child_that_fills_both_pipes_is_captured_whole() {
        let output = capture(sh("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2")).unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (300_000, 300_000));
    }

    #[test]
    fn stopping_a_child_ends_the_whole_tree_gently() {
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
    fn what_a_child_leaves_behind_in_its_group_ends_with_it() {
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
    fn a_child_ended_by_sigterm_says_so() {
        let (mut running, _output) = started("echo ready; exec sleep 1000");
        assert_eq!(running.stop().unwrap().signal(), Some(Signal::TERM.as_raw()));
    }

    #[test]
    fn urls_are_left_out_of_messages_because_they_carry_signatures() {
        let mut command = Command::new("/usr/bin/ffprobe");
        command.args(["-i", "http://127.0.0.1/a?Signature=secret"]);
        assert_eq!(shown(&command), "ffprobe -i <url>");
    }

    #[test]
    fn the_last_lines_of_a_short_text_are_all_of_it() {
        assert_eq!(last_lines("a\nb\n", 20), "a\nb");
        assert_eq!(last_lines("a\nb\nc\n\n", 2), "b\nc");
    }
}
