//! Which control group is left to this program.
//!
//! Every group has one manager: systemd, a container runtime or a program to which one of them left a group with all below it
//! (systemd's `CGROUP_DELEGATION.md`). Root could write in every group; only the following are used, because the others have another
//! manager, which may not know what to do with groups that it did not make:
//!
//! - the root that this process sees: of a container with a namespace of its own, or of a system where nothing manages the groups;
//! - one that systemd left to the service (`Delegate=yes`), of which this process is a member, directly or in a group below it
//!   (`DelegateSubgroup=`);
//! - one whose processes an earlier worker moved into [`MAIN`].

use std::path::{Path, PathBuf};

/// The name of the group for what was in the subtree's own group.
pub(super) const MAIN: &str = "streamio-main";

/// How the names of systemd's units with a group end.
const UNITS: [&str; 3] = ["service", "scope", "slice"];

/// The path of this process's group below the root, from the text of `/proc/self/cgroup`. `None` without version 2, and for a group outside
/// of what this process sees.
pub(super) fn own_group(groups: &str) -> Option<&Path> {
    let path = Path::new(groups.lines().find_map(|line| line.strip_prefix("0::/"))?);
    let is_inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    is_inside.then_some(path)
}

/// The folder of the group that is left to a process of the group `own` below `root`. `is_marked` states whether the manager of a group left
/// it to its processes.
pub(super) fn subtree(root: &Path, own: &Path, is_marked: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    if own.as_os_str().is_empty() {
        return Some(root.to_owned());
    }
    let own = root.join(own);
    let above = own.parent()?;
    if own.file_name().is_some_and(|name| name == MAIN) {
        return Some(above.to_owned());
    }
    if is_marked(&own) {
        return Some(own);
    }
    // A group with the name of a unit is managed by the manager of the group above, as those of a user's services are.
    let is_unit = own.extension().is_some_and(|kind| UNITS.iter().any(|unit| kind == *unit));
    (!is_unit && is_marked(above)).then(|| above.to_owned())
}

/// Whether systemd marked the group in the folder `group` as left to its processes. The first mark is readable for root only; the second
/// is there since systemd 251.
#[cfg(target_os = "linux")]
pub(super) fn is_marked_by_systemd(group: &Path) -> bool {
    ["trusted.delegate", "user.delegate"].into_iter().any(|mark| {
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(group, mark, &mut value);
        length.is_ok_and(|length| &value[..length] == b"1")
    })
}

/// Other systems have no systemd.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_marked_by_systemd(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_that_of_version_2() {
        assert_eq!(own_group("0::/system.slice/a.service\n"), Some(Path::new("system.slice/a.service")));
        assert_eq!(own_group("4:memory:/a\n0::/\n"), Some(Path::new("")));
        for none in ["", "4:memory:/a\n", "0::/../other\n", "0::/..\n"] {
            assert_eq!(own_group(none), None, "{none}");
        }
    }

    #[test]
    fn only_a_group_without_another_manager_is_used() {
        let marked = "/cg/a.service";
        for (own, expected) in [
            ("", Some("/cg")),
            ("a.service", Some(marked)),
            ("a.service/sub", Some(marked)),
            ("a.service/streamio-main", Some(marked)),
            ("streamio-main", Some("/cg")),
            ("b.service", None),
            ("b.service/streamio-main", Some("/cg/b.service")),
            // The manager of a user's services has a marked group, and manages what is below it.
            ("a.service/app.slice/b.service", None),
            ("a.service/b.service", None),
            ("a.service/init.scope", None),
        ] {
            let found = subtree(Path::new("/cg"), Path::new(own), |group| group == Path::new(marked));
            assert_eq!(found.as_deref(), expected.map(Path::new), "{own}");
        }
    }
}
