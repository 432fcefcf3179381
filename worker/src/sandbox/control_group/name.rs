//! Names of the groups of children. They name the worker, so that a later one recognises those of a worker that was killed.

use std::sync::atomic::{AtomicU64, Ordering};

const PREFIX: &str = "streamio-ffmpeg";

/// A process. A later one with the same number began at another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    id: u32,
    /// Clock ticks from the start of the system to that of the process.
    started_at: u64,
}

impl Process {
    /// This process. Fails where there is no `/proc`.
    pub(super) fn this() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// The process that has the number `id` now.
    fn of(id: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        Some(Self { id, started_at: started_at(&stat)? })
    }

    /// Whether the process has ended.
    pub(super) fn has_ended(self) -> bool {
        Self::of(self.id) != Some(self)
    }

    /// A name for a group of this process that no other has.
    pub(super) fn group_name(self) -> String {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        self.name(NUMBER.fetch_add(1, Ordering::Relaxed))
    }

    fn name(self, number: u64) -> String {
        format!("{PREFIX}-{}-{}-{number}", self.id, self.started_at)
    }

    /// The process that made the group `name`; `None` if this program did not.
    pub(super) fn of_group(name: &str) -> Option<Self> {
        let mut fields = name.strip_prefix(PREFIX)?.strip_prefix('-')?.splitn(3, '-');
        let process = Self { id: fields.next()?.parse().ok()?, started_at: fields.next()?.parse().ok()? };
        let number = fields.next()?.parse().ok()?;
        (process.name(number) == name).then_some(process)
    }
}

/// Field 22 of `/proc/PID/stat`. Field 2, the name in parentheses, may contain anything.
fn started_at(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_process_is_read_from_the_name_of_its_group(id: u32, started_at: u64, number: u64) {
            let process = Process { id, started_at };
            prop_assert_eq!(Process::of_group(&process.name(number)), Some(process));
        }

        #[test]
        fn only_names_that_this_program_gives_are_recognised(name in "(streamio-ffmpeg-)?[0-9a-z+-]{0,12}") {
            if let Some(process) = Process::of_group(&name) {
                let number = name.rsplit('-').next().unwrap().parse().unwrap();
                prop_assert_eq!(process.name(number), name);
            }
        }
    }

    #[test]
    fn other_names_are_not_recognised() {
        for name in [
            "streamio-main",
            "streamio-ffmpeg-1-2",
            "streamio-ffmpeg-1-2-3-4",
            "streamio-ffmpeg-+1-2-3",
            "init.scope",
        ] {
            assert_eq!(Process::of_group(name), None, "{name}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_has_ended_when_its_number_belongs_to_none_or_to_a_later_one() {
        let this = Process::this().unwrap();
        assert!(!this.has_ended());
        assert!(Process { started_at: this.started_at + 1, ..this }.has_ended());
        assert_eq!(
            started_at("7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 1234 20"),
            Some(1234)
        );
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        child.wait().unwrap();
        assert!(process.has_ended());
    }
}
