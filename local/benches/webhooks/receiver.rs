//! A receiver of webhooks that answers at once, in a process of its own: its processor time is not the platform's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use streamio_events::timestamp::Timestamp;

use super::until;

/// The argument that makes this program a receiver.
pub(crate) const ARGUMENT: &str = "receive";

/// A request that arrived.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Arrival {
    /// When it had arrived, in microseconds since the Unix epoch.
    pub(crate) at_micros: i64,
    /// When the event happened that it is about, in milliseconds since the Unix epoch.
    event_millis: i64,
}

impl Arrival {
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52")]
    pub(crate) fn since_event_millis(&self) -> f64 {
        (self.at_micros - self.event_millis * 1000).max(0) as f64 / 1000.0
    }
}

type Arrivals = Arc<Mutex<Vec<Arrival>>>;

#[derive(Deserialize)]
struct Message {
    timestamp: Timestamp,
}

/// Serves until standard input is closed, and prints the port.
pub(crate) async fn serve() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
    let arrivals = Arrivals::default();
    let routes = Router::new()
        .route("/hooks", post(receive))
        .route("/arrivals", get(list).delete(forget))
        .route("/count", get(count))
        .with_state(arrivals);
    let served = tokio::spawn(async move { axum::serve(listener, routes).await });
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    served.abort();
    Ok(())
}

async fn receive(State(arrivals): State<Arrivals>, body: Bytes) -> StatusCode {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let Ok(message) = serde_json::from_slice::<Message>(&body) else { return StatusCode::BAD_REQUEST };
    let at_micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
    let arrival = Arrival { at_micros, event_millis: message.timestamp.unix_millis() };
    arrivals.lock().expect("no thread has panicked").push(arrival);
    StatusCode::NO_CONTENT
}

/// All requests, in JSON.
async fn list(State(arrivals): State<Arrivals>) -> Result<String, StatusCode> {
    serde_json::to_string(&*arrivals.lock().expect("no thread has panicked"))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// The number of requests, in JSON.
async fn count(State(arrivals): State<Arrivals>) -> String {
    arrivals.lock().expect("no thread has panicked").len().to_string()
}

async fn forget(State(arrivals): State<Arrivals>) {
    arrivals.lock().expect("no thread has panicked").clear();
}

/// The process of a receiver. It ends with this value.
pub(crate) struct Receiver {
    child: Child,
    origin: String,
    client: reqwest::Client,
}

impl Receiver {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the receiver does not start")?;
        let mut line = String::new();
        let output = child.stdout.take().context("the receiver has an output")?;
        BufReader::new(output).read_line(&mut line)?;
        let origin = format!("http://127.0.0.1:{}", line.trim());
        Ok(Self { child, origin, client: reqwest::Client::new() })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/hooks", self.origin)
    }

    /// Returns all requests as soon as there are `count`.
    pub(crate) async fn wait_for(&self, count: usize) -> Result<Vec<Arrival>> {
        until(&format!("{count} messages arrive"), async || {
            let arrived: usize =
                self.client.get(format!("{}/count", self.origin)).send().await?.json().await?;
            Ok((arrived >= count).then_some(()))
        })
        .await?;
        Ok(self.client.get(format!("{}/arrivals", self.origin)).send().await?.json().await?)
    }

    pub(crate) async fn forget(&self) -> Result<()> {
        self.client.delete(format!("{}/arrivals", self.origin)).send().await?.error_for_status()?;
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
