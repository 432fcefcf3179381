//! The processes that may read a source.
//!
//! Neither the URL nor the user tells them from others: both are in the process list, and other programs may run as the same user. What
//! tells them is the socket: the kernel names the socket at the other end of a connection (`/proc/net/tcp`) and the process that has it
//! open (`/proc/PID/fd`). Only FFmpeg and what it started count, not all of its process group, which other processes can join.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The processes that may read a source, with all that they start. Clones share their state.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    processes: BTreeSet<u32>,
    /// Why the system did not say whose a connection is, if that happened.
    unknown: Option<std::io::Error>,
}

/// Whose a connection is.
#[derive(Debug)]
pub(super) enum Owner {
    /// One of the processes that may read the source.
    Client,
    /// Another process.
    Other,
    /// No process: the other end is closed.
    Closed,
    /// The system does not say.
    Unknown(std::io::Error),
}

/// The right of a process to read a source, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    clients: Clients,
    process: u32,
}

impl Clients {
    /// See [`Input::admit`](super::Input::admit). No connection is judged before the new process is known.
    pub(super) fn admit<T>(
        &self,
        start: impl FnOnce() -> std::io::Result<(Option<u32>, T)>,
    ) -> std::io::Result<(T, Option<Admission>)> {
        let mut state = self.state();
        let (process, started) = start()?;
        let admission = process.map(|process| {
            state.processes.insert(process);
            Admission { clients: self.clone(), process }
        });
        Ok((started, admission))
    }

    /// Why the system did not say whose a connection was, if that happened: FFmpeg may have been refused.
    pub(super) fn take_unknown(&self) -> Option<std::io::Error> {
        self.state().unknown.take()
    }

    /// Whose end `peer` of a connection to `address` is.
    #[cfg(target_os = "linux")]
    pub(super) async fn owner(&self, peer: SocketAddr, address: SocketAddr) -> Owner {
        let clients = self.clone();
        // Reads files of the kernel.
        let judged = tokio::task::spawn_blocking(move || {
            let processes = clients.state().processes.clone();
            let owner = sockets::owner(peer, address, &processes).unwrap_or_else(Owner::Unknown);
            if let Owner::Unknown(error) = &owner {
                clients.state().unknown = Some(std::io::Error::new(error.kind(), error.to_string()));
            }
            owner
        });
        judged.await.unwrap_or_else(|error| Owner::Unknown(error.into()))
    }

    /// Other systems do not name the process at the other end. There the URL alone is the right to read.
    #[cfg(not(target_os = "linux"))]
    pub(super) async fn owner(&self, _: SocketAddr, _: SocketAddr) -> Owner {
        std::future::ready(Owner::Client).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.clients.state().processes.remove(&self.process);
    }
}

#[cfg(target_os = "linux")]
mod sockets {
    //! Sockets and the processes that have them open, from `/proc`.

    use std::collections::BTreeSet;
    use std::io::ErrorKind;
    use std::net::{IpAddr, SocketAddr};

    use super::Owner;

    /// How many ancestors of a process are looked at.
    const ANCESTORS: usize = 8;

    /// Whose socket at `local` is connected to `remote`: of one of `processes`, or of one that they started.
    pub(super) fn owner(
        local: SocketAddr,
        remote: SocketAddr,
        processes: &BTreeSet<u32>,
    ) -> std::io::Result<Owner> {
        // The table is read in pieces, between which an entry can be missed.
        let found = match inode(local, remote)? {
            None => inode(local, remote)?,
            found => found,
        };
        let Some(inode) = found.filter(|inode| *inode != 0) else { return Ok(Owner::Closed) };
        let is_client = is_open_in(inode, processes)?;
        Ok(if is_client { Owner::Client } else { Owner::Other })
    }

    /// The number of the socket at `local` that is connected to `remote`. IPv4 only.
    fn inode(local: SocketAddr, remote: SocketAddr) -> std::io::Result<Option<u64>> {
        let (Some(local), Some(remote)) = (name(local), name(remote)) else { return Ok(None) };
        Ok(find(&std::fs::read_to_string("/proc/net/tcp")?, &local, &remote))
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

    /// Whether one of `processes`, or one that they started, has the socket `inode` open.
    fn is_open_in(inode: u64, processes: &BTreeSet<u32>) -> std::io::Result<bool> {
        let socket = format!("socket:[{inode}]");
        for process in processes {
            if has_open(*process, &socket)? {
                return Ok(true);
            }
        }
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            if descends_from(process, processes) && has_open(process, &socket)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether `process` has `socket` open. A process that has ended has nothing open.
    fn has_open(process: u32, socket: &str) -> std::io::Result<bool> {
        let entries = match std::fs::read_dir(format!("/proc/{process}/fd")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            entries => entries?,
        };
        for entry in entries {
            let Ok(entry) = entry else { continue };
            match std::fs::read_link(entry.path()) {
                Ok(to) if to.as_os_str() == socket => return Ok(true),
                // It was closed meanwhile.
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(false)
    }

    /// Whether one of `processes` is an ancestor of `process`.
    fn descends_from(process: u32, processes: &BTreeSet<u32>) -> bool {
        let ancestors = std::iter::successors(parent_of(process), |parent| parent_of(*parent));
        ancestors.take(ANCESTORS).any(|ancestor| processes.contains(&ancestor))
    }

    /// The second field after the name in parentheses, which may itself contain some.
    fn parent_of(process: u32) -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    }

    #[cfg(test)]
    mod tests {
        use std::net::{TcpListener, TcpStream};

        use super::*;

        #[test]
        fn the_socket_at_the_other_end_belongs_to_the_process_that_has_it_open_and_to_those_that_started_it()
        {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let connected = TcpStream::connect(address).unwrap();
            let (_, peer) = listener.accept().unwrap();
            let owner = |process: u32| owner(peer, address, &BTreeSet::from([process])).unwrap();
            assert!(matches!(owner(std::process::id()), Owner::Client));
            assert!(
                matches!(owner(parent_of(std::process::id()).unwrap()), Owner::Client),
                "it started this one"
            );
            let other = Ended(std::process::Command::new("sleep").arg("60").spawn().unwrap());
            assert!(matches!(owner(other.0.id()), Owner::Other));
            drop(connected);
            assert!(matches!(owner(std::process::id()), Owner::Closed));
        }

        /// Ends the process when the test fails.
        struct Ended(std::process::Child);

        impl Drop for Ended {
            fn drop(&mut self) {
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
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
