//! The description of the machine, which a report needs because figures depend on it.

use std::fs;
use std::thread::available_parallelism;

/// Returns a description such as `2 cores, Intel(R) Xeon(R) …, linux x86_64`.
pub(super) fn describe() -> String {
    let cores =
        available_parallelism().map_or_else(|_| "unknown cores".to_owned(), |count| format!("{count} cores"));
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| model(&text).map(str::to_owned));
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    [Some(cores), model, Some(system)].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns the processor's name in `/proc/cpuinfo`. ARM processors have none.
fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::model;

    #[test]
    fn the_model_name_is_read_if_there_is_one() {
        assert_eq!(model("processor\t: 0\nmodel name\t: AMD EPYC\nflags\t: a\n"), Some("AMD EPYC"));
        assert_eq!(model("processor\t: 0\n"), None);
    }
}
