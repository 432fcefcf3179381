//! Processor time of another process, which other processes on the machine do not stretch as they do the clock's.

use std::fs;
use std::time::Duration;

/// What all threads of the process have used so far, user and system together.
///
/// From `/proc/{pid}/task/*/schedstat`, whose first number counts nanoseconds: `stat` has hundredths of a second only.
/// Threads that have ended are not in it, but workerd keeps its own. `None` where the system has no such files.
pub(super) fn time(pid: u32) -> Option<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may have ended since it was listed. Some systems have no such file for any.
        if let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) {
            nanos += nanoseconds(&text)?;
        }
    }
    (nanos > 0).then_some(Duration::from_nanos(nanos))
}

fn nanoseconds(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn the_first_number_is_the_time() {
        assert_eq!(nanoseconds("74125 1033 5\n"), Some(74_125));
        assert_eq!(nanoseconds(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_costs_time() {
        let own = || super::time(std::process::id()).unwrap();
        let before = own();
        let mut sum = 0u64;
        while own() < before + std::time::Duration::from_millis(2) {
            sum = std::hint::black_box(sum + 1);
        }
    }
}
