//! Limits that the kernel enforces on a child, so that a hostile file cannot take the machine.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::machine;

/// What a child may use. At the limit of processor time it dies by SIGXCPU; at that of memory its allocations fail, at that
/// of a file it dies by SIGXFSZ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Processor time of all its threads.
    pub processor_time: Duration,
    /// Bytes of private memory, the stacks of its threads included. Less where the machine has less.
    pub memory: u64,
    /// Bytes of each file that it writes.
    pub file: u64,
}

/// Stack of a thread, and the threads per processor core that FFmpeg starts: decoders, filters and four encoders have pools.
const STACK_BYTES: u64 = 8 * 1024 * 1024;
const THREADS_PER_CORE: u64 = 12;

impl Bounds {
    /// Bytes of private memory on this machine, with the stacks of its threads.
    pub(crate) fn memory_here(self) -> u64 {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let memory = self.memory.saturating_add(cores * THREADS_PER_CORE * STACK_BYTES);
        machine::memory().map_or(memory, |machine| memory.min(machine / 4 * 3))
    }

    /// Limits this process, and the program that replaces it. A lower limit that it has already stays.
    pub(crate) fn apply(self) -> io::Result<()> {
        let limits = [
            (Resource::Cpu, self.processor_time.as_secs().max(1)),
            (Resource::Data, self.memory_here()),
            (Resource::Fsize, self.file),
        ];
        for (resource, limit) in limits {
            let present = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let maximum = limit.saturating_add(1).min(present);
            setrlimit(resource, Rlimit { current: Some(limit.min(maximum)), maximum: Some(maximum) })?;
        }
        Ok(())
    }
}
