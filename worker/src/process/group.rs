//! A child process with everything that it starts.

use std::time::Duration;

use process_wrap::tokio::ChildWrapper;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use super::child_end::ChildEnd;
use super::tail::Tail;
use crate::failure::MachineError;
use crate::relay::Admission;
use crate::sandbox::ControlGroup;

/// Time between SIGTERM and SIGKILL.
const GRACE_PERIOD: Duration = Duration::from_secs(2);
/// Time between two looks at whether the leader has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A child that leads a process group. Dropping it kills the group, and all that is in its control group.
#[derive(Debug)]
pub(super) struct ChildGroup {
    pub(super) child: Box<dyn ChildWrapper>,
    /// How the leader ended, once it was reaped. No signal may be sent after that: its process id may be in use by another process.
    end: Option<ChildEnd>,
    /// The group's right to read from the relay, if it has it.
    admission: Option<Admission>,
    /// The control group of the leader until it is reaped, if it has one.
    control_group: Option<ControlGroup>,
}

impl ChildGroup {
    /// The group of `child`, which was started as the leader of its own.
    pub(super) fn new(
        child: Box<dyn ChildWrapper>,
        admission: Option<Admission>,
        control_group: Option<ControlGroup>,
    ) -> Self {
        Self { child, end: None, admission, control_group }
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

    /// Waits for the leader to end. What it started and is still in its control group is then killed. Cancel safe.
    pub(super) async fn wait(&mut self) -> Result<ChildEnd, MachineError> {
        if let Some(end) = self.end {
            return Ok(end);
        }
        let status = self.child.wait().await.map_err(MachineError::io("waiting for a child process"))?;
        let exceeded_memory = self.control_group.take().is_some_and(|group| group.exceeded_memory());
        let end = ChildEnd { status, exceeded_memory };
        self.end = Some(end);
        // Another process may get the id from now on.
        self.admission = None;
        Ok(end)
    }

    pub(super) fn signal(&self, signal: Signal) {
        if self.end.is_none() && self.child.signal(signal.as_raw()).is_err() {
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
        if let Some(Err(error)) = self.control_group.as_ref().map(ControlGroup::kill) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot kill the control group of a child"
            );
        }
        if let Err(error) = self.wait().await {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot wait for a killed child");
        }
    }

    /// Completes when the leader has ended. Does not reap it.
    async fn leader_ended(&self) {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let Some(id) = id.filter(|_| self.end.is_none()) else { return };
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
