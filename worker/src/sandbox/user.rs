//! The user of child processes where the worker has the rights of root.

/// The user and the group, by number, of children of a worker that runs as root. No account is needed; no other program should use it.
pub const CHILD_USER: u32 = 10_002;

/// Whether this process has the rights of root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives up root, all capabilities and all groups for [`CHILD_USER`]. Only for a process with one thread.
///
/// # Errors
/// Also if root lacks a capability that the worker needs for children of another user.
#[cfg(target_os = "linux")]
pub(super) fn give_up_root() -> std::io::Result<()> {
    use rustix::process::{Gid, Uid};
    use rustix::thread::CapabilitySet;
    // Of a child of another user, the worker has to find the sockets, and end it.
    let needed = CapabilitySet::SYS_PTRACE | CapabilitySet::KILL;
    if !rustix::thread::capabilities(None)?.effective.contains(needed) {
        return Err(std::io::ErrorKind::PermissionDenied.into());
    }
    let (user, group) = (Uid::from_raw(CHILD_USER), Gid::from_raw(CHILD_USER));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    Ok(())
}
