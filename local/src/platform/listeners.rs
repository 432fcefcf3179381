//! The platform's listeners. Their ports stay the same over restarts if they are free, so that signed URLs stay valid.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket};

use crate::data_dir::DataDir;

/// How many connections wait at most until they are accepted, if the system permits as many (Linux: `net.core.somaxconn`). It drops what is
/// beyond, and the client tries again after a second, then after two more, and so on: some hundred clients that connect at the same moment
/// would make each other and all others wait for seconds.
const BACKLOG: u32 = 4096;

/// The file with the ports of the last run.
pub(crate) const PORTS_FILE: &str = "platform.json";

/// Whether a platform has run on this data directory.
pub(super) fn has_run(data_dir: &DataDir) -> bool {
    data_dir.path().join(PORTS_FILE).exists()
}

/// The base URLs of a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    /// The base URL of the API.
    pub api: String,
    /// The base URL of the object store.
    pub s3: String,
    /// The base URL of the CDN.
    pub cdn: String,
}

/// The ports of the last run; 0 before the first run.
#[derive(Default, Serialize, Deserialize)]
struct LastPorts {
    api: u16,
    s3: u16,
    cdn: u16,
}

pub(super) struct Listeners {
    /// Bound to its port; it does not listen yet.
    pub(super) api: TcpSocket,
    pub(super) s3: TcpListener,
    pub(super) cdn: TcpListener,
}

impl Listeners {
    /// Reserves `api_port` (0: the port of the last run, or any free one), and listens on the other ports of the last run, or any free
    /// ones.
    ///
    /// Fails if `api_port` is in use.
    pub(super) fn bind(data_dir: &DataDir, api_port: u16) -> anyhow::Result<Self> {
        let last: LastPorts = data_dir.read_json(PORTS_FILE)?.unwrap_or_default();
        let api = match api_port {
            0 => or_any(reserve, last.api)?,
            port => reserve(port).with_context(|| {
                format!("cannot listen on port {port}; choose another with --port, or 0 for any free one")
            })?,
        };
        let listeners = Self { api, s3: or_any(bind, last.s3)?, cdn: or_any(bind, last.cdn)? };
        let ports = LastPorts {
            api: listeners.api.local_addr()?.port(),
            s3: listeners.s3.local_addr()?.port(),
            cdn: listeners.cdn.local_addr()?.port(),
        };
        data_dir.write_json(PORTS_FILE, &ports)?;
        Ok(listeners)
    }

    pub(super) fn addresses(&self) -> io::Result<Addresses> {
        let url = |address: SocketAddr| format!("http://{address}");
        Ok(Addresses {
            api: url(self.api.local_addr()?),
            s3: url(self.s3.local_addr()?),
            cdn: url(self.cdn.local_addr()?),
        })
    }
}

/// Binds a socket to `port` of the loopback interface; 0 selects any free one. No other program gets the port as a free one while the socket
/// exists.
fn reserve(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Otherwise a port could not be used for a minute after a restart.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

/// Accepts connections to the socket's port. Fails if another program does.
pub(super) fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)
}

/// Listens on `port` of the loopback interface; 0 selects any free one.
pub(super) fn bind(port: u16) -> io::Result<TcpListener> {
    reserve(port).and_then(listen)
}

/// Uses `port`, or any free port if it is in use.
fn or_any<S>(with: fn(u16) -> io::Result<S>, port: u16) -> io::Result<S> {
    with(port).or_else(|_| with(0))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    /// Nothing accepts them: they wait in the listener's queue.
    #[tokio::test]
    async fn some_hundred_clients_connect_at_the_same_moment() {
        let listener = bind(0).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(500));
        let connected: io::Result<Vec<TcpStream>> = (0..300).map(connect).collect();
        assert_eq!(connected.unwrap().len(), 300);
    }

    /// The Worker listens in another process while the platform keeps the port.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_reserved_port_is_not_given_to_others_and_can_be_listened_on() {
        let reserved = reserve(0).unwrap();
        let port = reserved.local_addr().unwrap().port();
        assert_ne!(reserve(0).unwrap().local_addr().unwrap().port(), port);

        let worker = bind(port).unwrap();
        assert!(bind(port).is_err(), "somebody listens");
        drop(worker);
        bind(port).unwrap();
    }
}
