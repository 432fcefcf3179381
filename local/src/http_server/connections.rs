//! The open connections of a listener. When there are too many, one without a request is closed for a new one.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// File descriptors that are not used for connections: files, databases, workers' pipes, connections to others.
const OTHER_DESCRIPTORS: u64 = 512;

/// How many listeners share the descriptors: the API, the object store, the CDN and the home region's.
const LISTENERS: u64 = 4;

/// The most connections of one listener, however many descriptors there are.
const MAX_CONNECTIONS: u64 = 10_000;

/// Raises the limit of open files to what the system permits, and returns how many connections each listener may have.
pub(crate) fn raise_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let descriptors = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            limit.current
        }
    };
    connections_of(descriptors)
}

/// How many connections each listener may have with this many descriptors; `None`: unlimited.
fn connections_of(descriptors: Option<u64>) -> usize {
    let each =
        descriptors.map_or(MAX_CONNECTIONS, |limit| limit.saturating_sub(OTHER_DESCRIPTORS) / LISTENERS);
    // Where there are hardly any descriptors, some connections are better than none.
    usize::try_from(each.clamp(16, MAX_CONNECTIONS)).unwrap_or(usize::MAX)
}

/// The open connections of one listener.
#[derive(Debug)]
pub(super) struct Connections {
    limit: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// By the order in which they were opened or last had a request.
    connections: BTreeMap<u64, Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    requests: usize,
    close: CancellationToken,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: Mutex::default() })
    }

    /// Admits a connection. If there are too many, the one is closed that has had no request for the longest time, of those of the
    /// address that has the most. `None` if all have requests.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Connection> {
        let mut open = self.open();
        if open.connections.len() >= self.limit {
            let closed = open.longest_idle()?;
            if let Some(entry) = open.connections.remove(&closed) {
                entry.close.cancel();
            }
        }
        let close = CancellationToken::new();
        let number = open.insert(Entry { address, requests: 0, close: close.clone() });
        drop(open);
        let state = Arc::new(Mutex::new(State { number, requests: 0 }));
        Some(Connection { state, close, connections: Arc::clone(self) })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn insert(&mut self, entry: Entry) -> u64 {
        self.next += 1;
        self.connections.insert(self.next, entry);
        self.next
    }

    fn longest_idle(&self) -> Option<u64> {
        let mut by_address: HashMap<IpAddr, (usize, Option<u64>)> = HashMap::new();
        for (number, entry) in &self.connections {
            let (count, first) = by_address.entry(entry.address).or_default();
            *count += 1;
            if entry.requests == 0 {
                first.get_or_insert(*number);
            }
        }
        let idle = by_address.into_values().filter_map(|(count, first)| Some((count, first?)));
        // Of two addresses with equally many, the one whose connection is idle for longer.
        idle.max_by_key(|(count, first)| (*count, std::cmp::Reverse(*first))).map(|(_, first)| first)
    }
}

/// What is known of a connection, also after it was closed for a new one.
#[derive(Debug)]
struct State {
    /// Its present number in [`Open`]: each request gives it a new one.
    number: u64,
    /// The requests in progress.
    requests: usize,
}

/// An admitted connection. It counts towards the limit until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    state: Arc<Mutex<State>>,
    close: CancellationToken,
    connections: Arc<Connections>,
}

impl Connection {
    /// Completes when the connection is to be closed for a new one.
    pub(super) fn closed(&self) -> CancellationToken {
        self.close.clone()
    }

    /// Marks a request of the connection as in progress until the result is dropped.
    pub(super) fn requests(&self) -> Requests {
        Requests { state: Arc::clone(&self.state), connections: Arc::clone(&self.connections) }
    }

    /// Whether a request is in progress.
    pub(super) fn has_requests(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).requests > 0
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let number = self.state.lock().unwrap_or_else(PoisonError::into_inner).number;
        self.connections.open().connections.remove(&number);
    }
}

/// Counts the requests in progress of one connection.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    state: Arc<Mutex<State>>,
    connections: Arc<Connections>,
}

impl Requests {
    /// Counts a request until the result is dropped.
    pub(super) fn begin(&self) -> InProgress {
        self.change(|requests| requests + 1);
        InProgress(self.clone())
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests = change(state.requests);
        let mut open = self.connections.open();
        // It may have been closed meanwhile.
        if let Some(entry) = open.connections.remove(&state.number) {
            state.number = open.insert(Entry { requests: state.requests, ..entry });
        }
    }
}

/// A request in progress.
#[derive(Debug)]
pub(super) struct InProgress(Requests);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.change(|requests| requests.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn the_longest_idle_connection_of_the_address_with_the_most_is_closed() {
        let connections = Connections::new(4);
        let other = connections.admit(address(1)).unwrap();
        let many = [2, 2, 2].map(|last| connections.admit(address(last)).unwrap());
        // Used since, so that the second is idle for longer.
        drop(many[0].requests().begin());
        let new = connections.admit(address(3)).unwrap();
        let closed = |connection: &Connection| connection.closed().is_cancelled();
        assert_eq!((closed(&other), many.each_ref().map(closed)), (false, [false, true, false]));
        assert!(!closed(&new));
    }

    #[test]
    fn a_connection_with_a_request_is_never_closed_for_another() {
        let connections = Connections::new(2);
        let open = [1, 1].map(|last| connections.admit(address(last)).unwrap());
        let requests = open.each_ref().map(|connection| connection.requests().begin());
        assert!(connections.admit(address(2)).is_none());
        drop(requests);
        assert!(connections.admit(address(2)).is_some());
        assert!(open.iter().any(|connection| connection.closed().is_cancelled()));
    }

    #[test]
    fn an_ended_connection_makes_room() {
        let connections = Connections::new(1);
        for _ in 0..3 {
            let connection = connections.admit(address(1)).unwrap();
            assert!(!connection.closed().is_cancelled());
        }
        assert!(connections.open().connections.is_empty());
    }

    #[test]
    fn connections_leave_descriptors_for_other_files() {
        assert_eq!(connections_of(Some(1024)), 128);
        assert_eq!(connections_of(Some(1 << 20)), 10_000);
        assert_eq!((connections_of(None), connections_of(Some(64))), (10_000, 16));
    }
}
