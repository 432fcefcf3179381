//! Limits that the kernel enforces on a child, so that a hostile file cannot take the machine.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// What a child may use. At the limit of processor time it dies by SIGXCPU; at that of memory its allocations fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Processor time of all its threads.
    pub processor_time: Duration,
    /// Bytes of private memory, the stacks of its threads included.
    pub memory: u64,
}

/// Stack of a thread, and the threads per processor core that FFmpeg starts: decoders, filters and four encoders have pools.
const STACK_BYTES: u64 = 8 * 1024 * 1024;
const THREADS_PER_CORE: u64 = 12;

impl Bounds {
    /// Limits the process `id`, which has not been reaped. Fails if it has just ended, which needs no limit any more.
    pub(super) fn apply(self, id: u32) {
        let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return };
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let memory = self.memory.saturating_add(cores * THREADS_PER_CORE * STACK_BYTES);
        let limits = [
            (Resource::Cpu, "processor time", self.processor_time.as_secs().max(1)),
            (Resource::Data, "memory", memory),
        ];
        for (resource, name, limit) in limits {
            let limit = Rlimit { current: Some(limit), maximum: Some(limit.saturating_add(1)) };
            if let Err(error) = prlimit(Some(pid), resource, limit) {
                tracing::debug!(resource = name, error = %error, "cannot limit a child");
            }
        }
    }
}
