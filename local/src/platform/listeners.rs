//! The platform's listeners. Their ports stay the same over restarts if they are free, so that signed URLs stay valid.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::data_dir::DataDir;

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
    pub(super) api: TcpListener,
    pub(super) s3: TcpListener,
    pub(super) cdn: TcpListener,
}

impl Listeners {
    /// Listens on `api_port` (0: the port of the last run, or any free one) and on the other ports of the last run, or any free
    /// ones.
    ///
    /// Fails if `api_port` is in use.
    pub(super) async fn bind(data_dir: &DataDir, api_port: u16) -> anyhow::Result<Self> {
        let last: LastPorts = data_dir.read_json(PORTS_FILE)?.unwrap_or_default();
        let api = match api_port {
            0 => bind_or_any(last.api).await?,
            port => bind(port).await.with_context(|| {
                format!("cannot listen on port {port}; choose another with --port, or 0 for any free one")
            })?,
        };
        let listeners = Self { api, s3: bind_or_any(last.s3).await?, cdn: bind_or_any(last.cdn).await? };
        let ports = LastPorts {
            api: listeners.api.local_addr()?.port(),
            s3: listeners.s3.local_addr()?.port(),
            cdn: listeners.cdn.local_addr()?.port(),
        };
        data_dir.write_json(PORTS_FILE, &ports)?;
        Ok(listeners)
    }

    pub(super) fn addresses(&self) -> std::io::Result<Addresses> {
        let url = |listener: &TcpListener| listener.local_addr().map(|address| format!("http://{address}"));
        Ok(Addresses { api: url(&self.api)?, s3: url(&self.s3)?, cdn: url(&self.cdn)? })
    }
}

/// Listens on `port` of the loopback interface; 0 selects any free one.
pub(super) async fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// Listens on `port`, or on any free port if it is in use.
async fn bind_or_any(port: u16) -> std::io::Result<TcpListener> {
    match bind(port).await {
        Ok(listener) => Ok(listener),
        Err(_) => bind(0).await,
    }
}
