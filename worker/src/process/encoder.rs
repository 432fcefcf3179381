//! FFmpeg as an encoder, which reports its progress.

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::child_end::ChildEnd;
use super::group::ChildGroup;
use super::progress::Progress;
use crate::failure::MachineError;

/// A running FFmpeg that reports its progress. Dropping it kills its process group.
#[derive(Debug)]
pub struct Encoder {
    pub(super) group: ChildGroup,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) stderr: JoinHandle<String>,
}

impl Encoder {
    /// Watches the latest progress report.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits for the process to end. Cancel safe.
    pub async fn wait(&mut self) -> Result<ChildEnd, MachineError> {
        self.group.wait().await
    }

    /// Pauses the process group (`SIGSTOP`).
    pub fn pause(&self) {
        self.group.signal(Signal::STOP);
    }

    /// Resumes the process group (`SIGCONT`).
    pub fn resume(&self) {
        self.group.signal(Signal::CONT);
    }

    /// Terminates the process group: SIGTERM, then SIGKILL after a grace period. Returns when the process has ended.
    pub async fn stop(&mut self) {
        self.group.stop().await;
    }

    /// The last 8 KiB of standard error. Call it after the process has ended.
    pub async fn into_stderr(self) -> String {
        let Self { group, stderr, .. } = self;
        drop(group);
        stderr.await.unwrap_or_default()
    }
}
