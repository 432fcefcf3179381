//! The memory of this machine, or of the container that this process is in.

use std::path::Path;

/// Bytes of memory that the processes here can have together; `None` if it is not known, as on systems other than Linux.
pub(super) fn memory() -> Option<u64> {
    let installed = std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(installed);
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = limit(&groups, Path::new("/sys/fs/cgroup"));
    installed.into_iter().chain(limit).min()
}

/// From `MemTotal:       16384256 kB`.
fn installed(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest limit of the control groups `groups` (the text of `/proc/self/cgroup`) and of those above them, below `root`. Where a
/// container sees only its own group, this is `root` itself.
fn limit(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (root, file) = match fields.next()? {
            "" => (root.to_owned(), "memory.max"),
            kinds if kinds.split(',').any(|kind| kind == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let group = Path::new(fields.next()?.trim_start_matches('/'));
        // `max` stands for no limit.
        let limits = group.ancestors().filter_map(|group| {
            std::fs::read_to_string(root.join(group).join(file)).ok()?.trim().parse::<u64>().ok()
        });
        limits.min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
        std::fs::write(root.join(file), text).unwrap();
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_holds() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, "system.slice/memory.max", "3000\n");
        write(root, "system.slice/streamio/memory.max", "max\n");
        assert_eq!(limit("0::/system.slice/streamio\n", root), Some(3000));
        assert_eq!(limit("0::/other\n", root), None);
        write(root, "memory.max", "2000\n");
        assert_eq!(limit("0::/other\n", root), Some(2000), "the group of a container");
        write(root, "memory/a/memory.limit_in_bytes", "1000\n");
        assert_eq!(limit("5:cpu:/a\n4:memory:/a/b\n0::/\n", root), Some(1000), "version 1");
        assert_eq!(limit("no groups", root), None);
    }

    #[test]
    fn the_installed_memory_is_read() {
        assert_eq!(installed("MemTotal:       16384256 kB\nMemFree: 1 kB\n"), Some(16_384_256 * 1024));
        assert_eq!(installed(""), None);
    }
}
