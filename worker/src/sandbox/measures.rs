//! What the sandbox enforces on a machine.

use serde::{Deserialize, Serialize};

use super::control_group::Controllers;

/// The measures that are enforced on a child.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measures {
    /// The version of Landlock's interface that the kernel and this program share; 0 without Landlock.
    pub landlock: i32,
    /// Whether a filter of system calls is active.
    pub system_calls: bool,
    /// The user and group that the child gets; `None` if it keeps those of the worker.
    pub user: Option<u32>,
    /// Whether the worker has the rights of root.
    pub is_root: bool,
    /// What is limited by a control group of the child; `None` without such a group.
    pub control_group: Option<Controllers>,
}

impl Measures {
    /// What is not enforced, as sentences for the operator. Empty where everything is.
    pub fn missing(&self) -> Vec<&'static str> {
        let group = self.control_group;
        let all = [
            (
                self.landlock < 1,
                "FFmpeg can read every file that its user can: it needs Landlock (Linux 5.13, enabled at boot)",
            ),
            (
                (1..3).contains(&self.landlock),
                "FFmpeg can truncate every file that its user can: it needs Landlock 3 (Linux 6.2)",
            ),
            (
                self.landlock < 4,
                "FFmpeg can connect to every TCP port that this machine reaches: it needs Landlock 4 (Linux 6.7)",
            ),
            (
                self.landlock < 6 && !self.system_calls,
                "FFmpeg can send signals to processes of its user: it needs Landlock 6 (Linux 6.12) or seccomp",
            ),
            (!self.system_calls, "FFmpeg can make every system call: the kernel accepts no seccomp filter"),
            (
                self.is_root && self.user.is_none(),
                "FFmpeg runs as root: the worker may not change the user or not control children of another one (CAP_SETUID, CAP_SETGID, CAP_CHOWN, CAP_KILL and CAP_SYS_PTRACE)",
            ),
            (
                group.is_none(),
                "FFmpeg has no control group of its own: the worker needs one that is left to it (Linux 5.14, version 2; `Delegate=yes` of systemd)",
            ),
            (
                group.is_some_and(|group| !group.memory),
                "FFmpeg's memory is limited as that of a process, not by its control group: it needs the controller `memory`",
            ),
            (
                group.is_some_and(|group| !group.processes),
                "FFmpeg's processes and threads are not limited by its control group: it needs the controller `pids`",
            ),
        ];
        all.into_iter().filter_map(|(is_missing, sentence)| is_missing.then_some(sentence)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_that_is_missing_is_named_and_no_other() {
        let all = Controllers { memory: true, processes: true };
        let full = Measures {
            landlock: 7,
            system_calls: true,
            user: Some(1),
            is_root: true,
            control_group: Some(all),
        };
        let named = |measures: Measures| measures.missing().join("\n");
        assert_eq!(named(full.clone()), "");
        assert_eq!(named(Measures { user: None, is_root: false, ..full.clone() }), "");
        assert!(named(Measures { user: None, ..full.clone() }).contains("root"));
        assert!(named(Measures { system_calls: false, ..full.clone() }).contains("seccomp"));
        for (landlock, sentences) in [(0, 2), (1, 2), (3, 1), (4, 0)] {
            assert_eq!(Measures { landlock, ..full.clone() }.missing().len(), sentences, "{landlock}");
        }
        for (control_group, word) in [
            (None, "Delegate=yes"),
            (Some(Controllers { memory: false, ..all }), "`memory`"),
            (Some(Controllers { processes: false, ..all }), "`pids`"),
        ] {
            let missing = Measures { control_group, ..full.clone() }.missing();
            assert!(missing.len() == 1 && missing[0].contains(word), "{missing:?}");
        }
        assert_eq!(Measures { is_root: true, ..Measures::default() }.missing().len(), 6);
    }
}
