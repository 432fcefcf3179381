//! A child process with everything that it starts.

use std::process::ExitStatus;
use std::time::Duration;

use process_wrap::tokio::ChildWrapper;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use super::tail::Tail;
use crate::failure::MachineError;
use crate::relay::Admission;

/// Time between SIGTERM and SIGKILL.
const GRACE_PERIOD: Duration = Duration::from_secs(2);
/// Time between two looks at whether the leader has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A child that leads a process group. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct ChildGroup {
    pub(super) child: Box<dyn ChildWrapper>,
    /// Whether the leader was reaped. No signal may be sent after that: its process id may be in use by another process.
    reaped: bool,
    /// The group's right to read from the relay, if it has it.
    admission: Option<Admission>,
}

impl ChildGroup {
    /// The group of `child`, which was started as the leader of its own.
    pub(super) fn new(child: Box<dyn ChildWrapper>, admission: Option<Admission>) -> Self {
        Self { child, reaped: false, admission }
    }

    pub(super) fn collect_stderr(&mut self) -> JoinHandle<String> {
        let stderr = self.child.stderr().take();
        tokio::spawn(async move {
            let mut tail = Tail::default();
            if let Some(mut stderr) = stderr {
                let mut chunk = [0; 4096];
                while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
                    tail.push(&chunk[..length]);
                }
            }
            tail.text()
        })
    }

    pub(super) async fn wait(&mut self) -> Result<ExitStatus, MachineError> {
        let status = self.child.wait().await.map_err(MachineError::io("waiting for a child process"))?;
        self.reaped = true;
        // Another process may get the id from now on.
        self.admission = None;
        Ok(status)
    }

    pub(super) fn signal(&self, signal: Signal) {
        if !self.reaped && self.child.signal(signal.as_raw()).is_err() {
            tracing::debug!(signal = signal.as_raw(), "the child ended before it could be signalled");
        }
    }

    pub(super) async fn stop(&mut self) {
        self.signal(Signal::TERM);
        // A paused process receives SIGTERM only after it is resumed.
        self.signal(Signal::CONT);
        let _ = tokio::time::timeout(GRACE_PERIOD, self.leader_ended()).await;
        // Also when the leader has ended: what it started may go on. Until the leader is reaped, no other group can have its id.
        self.signal(Signal::KILL);
        if let Err(error) = self.wait().await {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot wait for a killed child");
        }
    }

    /// Completes when the leader has ended. Does not reap it.
    async fn leader_ended(&self) {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let Some(id) = id.filter(|_| !self.reaped) else { return };
        let without_reaping = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while let Ok(None) = waitid(WaitId::Pid(id), without_reaping) {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
