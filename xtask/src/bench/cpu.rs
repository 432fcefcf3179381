//! The processor time of another process. Unlike wall-clock time, it depends little on other processes of the machine.

use std::fs;
use std::time::Duration;

/// Returns the user and system time of all running threads of a process, or `None` if the system does not report it.
///
/// Reads `/proc/{pid}/task/*/schedstat`, whose first number is in nanoseconds; `stat` has a resolution of 10 ms. Threads that have
/// ended are not included. workerd does not end its threads.
pub(super) fn time(pid: u32) -> Option<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may have ended since the listing. Some systems have no `schedstat` files.
        if let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) {
            nanos += nanoseconds(&text)?;
        }
    }
    (nanos > 0).then_some(Duration::from_nanos(nanos))
}

/// Parses the processor time in the contents of a `schedstat` file.
fn nanoseconds(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn the_first_number_is_the_processor_time() {
        assert_eq!(nanoseconds("74125 1033 5\n"), Some(74_125));
        assert_eq!(nanoseconds(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn processor_time_grows_with_work() {
        let own = || super::time(std::process::id()).unwrap();
        let before = own();
        let mut sum = 0u64;
        while own() < before + std::time::Duration::from_millis(2) {
            sum = std::hint::black_box(sum + 1);
        }
    }
}
