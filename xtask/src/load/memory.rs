//! The platform's memory.

use anyhow::{Context, Result};

/// The most memory that the process `id` has had resident, in bytes (`VmHWM` of Linux' `proc_pid_status(5)`).
pub(super) fn peak(id: u32) -> Result<u64> {
    let file = format!("/proc/{id}/status");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    peak_of(&text).with_context(|| format!("{file} states no VmHWM"))
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_stated_in_kibibytes() {
        assert_eq!(peak_of("Name:\tstreamio\nVmPeak:\t 900 kB\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(peak_of("Name:\tstreamio\n"), None);
    }
}
