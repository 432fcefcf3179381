//! A process and its descendants, which emulate the processes of a container.

use std::collections::HashMap;
use std::fs;

/// Returns `root` and its descendants, parents before children. Without `/proc` it returns only `root`.
pub(super) fn of(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) =
            fs::read_to_string(entry.path().join("stat")).ok().and_then(|stat| parent(&stat))
        {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(process) = tree.get(next) {
        tree.extend(children.remove(process).unwrap_or_default());
        next += 1;
    }
    tree
}

/// Returns the parent's process id: the fourth field of `/proc/{process}/stat`. The second field is a name in parentheses,
/// which may contain any character.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_read_for_any_process_name() {
        assert_eq!(parent("12 (a) b) S 7 12 12 0"), Some(7));
        assert_eq!(parent("12"), None);
    }

    #[test]
    fn the_tree_contains_grandchildren() {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "sh -c 'sleep 100; true' & wait"]);
        let mut child = command.spawn().unwrap();
        let tree = loop {
            let tree = of(child.id());
            if tree.len() == 3 {
                break tree;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert_eq!(tree[0], child.id());
        for process in tree {
            let pid = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        child.wait().unwrap();
    }
}
