//! The processes that may read a source.
//!
//! Neither the URL nor the user tells them from others: both are in the process list, and other programs may run as the same user. What
//! tells them is the socket: the kernel names the socket at the other end of a connection (`/proc/net/tcp`) and the process that has it
//! open (`/proc/PID/fd`). A process cannot get there without the rights to control FFmpeg itself.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The process groups that may read a source. Clones share their state.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients(Arc<Mutex<BTreeSet<u32>>>);

/// The right of a process group to read a source, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    clients: Clients,
    group: u32,
}

impl Clients {
    /// See [`Input::admit`](super::Input::admit). No connection is judged before the new group is known.
    pub(super) fn admit<T>(
        &self,
        start: impl FnOnce() -> std::io::Result<(Option<u32>, T)>,
    ) -> std::io::Result<(T, Option<Admission>)> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (group, started) = start()?;
        let admission = group.map(|group| {
            groups.insert(group);
            Admission { clients: self.clone(), group }
        });
        Ok((started, admission))
    }

    /// Whether a process of these groups has the end `peer` of a connection to `address` open.
    #[cfg(target_os = "linux")]
    pub(super) async fn hold(&self, peer: SocketAddr, address: SocketAddr) -> bool {
        let clients = self.clone();
        // Reads files of the kernel.
        let judged = tokio::task::spawn_blocking(move || {
            let groups = clients.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            sockets::inode(peer, address).is_some_and(|inode| sockets::is_open_in(inode, &groups))
        });
        judged.await.unwrap_or(false)
    }

    /// Other systems do not name the process at the other end. There the URL alone is the right to read.
    #[cfg(not(target_os = "linux"))]
    pub(super) async fn hold(&self, _: SocketAddr, _: SocketAddr) -> bool {
        std::future::ready(true).await
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.clients.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.group);
    }
}

#[cfg(target_os = "linux")]
mod sockets {
    //! Sockets and the processes that have them open, from `/proc`.

    use std::collections::BTreeSet;
    use std::net::{IpAddr, SocketAddr};

    /// The number of the socket at `local` that is connected to `remote`. IPv4 only.
    pub(super) fn inode(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        find(&table, &name(local)?, &name(remote)?)
    }

    /// Columns 2 and 3 are the addresses, 10 is the number. It is 0 once the process has closed the socket.
    fn find(table: &str, local: &str, remote: &str) -> Option<u64> {
        table.lines().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let is_it = fields.get(1) == Some(&local) && fields.get(2) == Some(&remote);
            is_it.then(|| fields.get(9)?.parse().ok())?
        })
    }

    /// The form of an address in the table: the bytes of the address as one number of this machine, and the port.
    fn name(address: SocketAddr) -> Option<String> {
        let IpAddr::V4(ip) = address.ip() else { return None };
        Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()))
    }

    /// Whether a process of one of `groups` has the socket `inode` open.
    pub(super) fn is_open_in(inode: u64, groups: &BTreeSet<u32>) -> bool {
        let socket = format!("socket:[{inode}]");
        // Nearly always it is the leader, whose id is the group's.
        groups.iter().any(|leader| has_open(*leader, &socket))
            || others(groups).any(|process| has_open(process, &socket))
    }

    fn has_open(process: u32, socket: &str) -> bool {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
        entries
            .flatten()
            .any(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == socket))
    }

    /// The processes of `groups` that do not lead them.
    fn others(groups: &BTreeSet<u32>) -> impl Iterator<Item = u32> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(|process| {
            !groups.contains(process) && group_of(*process).is_some_and(|it| groups.contains(&it))
        })
    }

    /// The third field after the name in parentheses, which may itself contain some.
    fn group_of(process: u32) -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
    }

    #[cfg(test)]
    mod tests {
        use std::net::{TcpListener, TcpStream};

        use super::*;

        #[test]
        fn the_socket_at_the_other_end_is_found_in_the_process_that_has_it_open_and_in_no_other() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let connected = TcpStream::connect(address).unwrap();
            let (_, peer) = listener.accept().unwrap();
            let inode = inode(peer, address).unwrap();
            let own = group_of(std::process::id()).unwrap();
            assert!(is_open_in(inode, &BTreeSet::from([std::process::id()])));
            assert!(is_open_in(inode, &BTreeSet::from([own])), "a member that does not lead its group");
            assert!(!is_open_in(inode, &BTreeSet::from([1])) && !is_open_in(inode, &BTreeSet::new()));
            drop(connected);
            let closed = self::inode(peer, address).unwrap_or(0);
            assert!(!is_open_in(closed, &BTreeSet::from([std::process::id()])));
        }

        #[test]
        fn addresses_have_the_form_of_the_table() {
            let name = name("127.0.0.1:8080".parse().unwrap()).unwrap();
            assert_eq!(name, if cfg!(target_endian = "little") { "0100007F:1F90" } else { "7F000001:1F90" });
            let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                         0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0 100\n   \
                         1: 0100007F:A001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 42 1 0 20\n";
            assert_eq!(find(table, "0100007F:A001", "0100007F:1F90"), Some(42));
            assert_eq!(find(table, "0100007F:1F90", "0100007F:A001"), None);
        }
    }
}
