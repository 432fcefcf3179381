//! A proxy between a client of AWS and an emulation of it, which counts the requests and does to them what a network and a
//! service under load do.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_LENGTH;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of a request.
pub(crate) enum Fate {
    /// It is answered.
    Through,
    /// It takes effect, and the connection breaks before its answer.
    AnswerLost,
    /// The connection breaks before it takes effect.
    Lost,
    /// It takes no effect and is not answered for as long as anybody would wait.
    Unanswered,
    /// It takes no effect, and the service answers this.
    Refused(u16, &'static str),
    /// It takes no effect, and the service answers this as a success.
    Answered(Value),
    /// This goes through in its place, and the answer comes back changed.
    Changed(Value, Box<dyn FnOnce(Value) -> Value + Send>),
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// The operation, `PutItem`.
    pub(crate) operation: String,
    pub(crate) body: Value,
}

type Plan = Box<dyn FnMut(&Seen) -> Fate + Send>;
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Listens until it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

struct Shared {
    upstream: String,
    plan: Mutex<Plan>,
    seen: Mutex<Vec<Seen>>,
}

impl Proxy {
    /// A proxy of the service at `upstream`, `http://host:port`, through which all goes.
    pub(crate) async fn of(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            plan: Mutex::new(Box::new(|_| Fate::Through)),
            seen: Mutex::default(),
        });
        let listener = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Self { address, shared, listener }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What becomes of all requests from now on.
    pub(crate) fn plan(&self, plan: impl FnMut(&Seen) -> Fate + Send + 'static) {
        *self.shared.plan.lock().unwrap() = Box::new(plan);
    }

    /// The next requests meet `fates`, those after them go through.
    pub(crate) fn script(&self, fates: impl IntoIterator<Item = Fate, IntoIter: Send + 'static>) {
        let mut fates = fates.into_iter();
        self.plan(move |_| fates.next().unwrap_or(Fate::Through));
    }

    /// The requests that came since this was last asked.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap())
    }

    /// The operations of the requests that came since this was last asked.
    pub(crate) fn take_operations(&self) -> Vec<String> {
        self.take_seen().into_iter().map(|seen| seen.operation).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| answer(Arc::clone(&shared), request));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A connection that breaks is what was planned.
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

/// The future of [`answer`] is large.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, BrokenConnection>> + Send>>;

/// No answer is to be sent.
#[derive(Debug, thiserror::Error)]
#[error("the connection breaks")]
struct BrokenConnection(#[source] Broken);

fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    Box::pin(async move { shared.answer(request).await.map_err(BrokenConnection) })
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let target = parts.headers["x-amz-target"].to_str()?;
        let seen = Seen {
            operation: target.split_once('.').map_or(target, |(_, operation)| operation).to_owned(),
            body: serde_json::from_slice(&body)?,
        };
        let fate = (self.plan.lock().unwrap())(&seen);
        self.seen.lock().unwrap().push(seen);
        let request = Request::from_parts(parts, Full::new(body));
        match fate {
            Fate::Through => self.forward(request).await,
            Fate::AnswerLost => {
                self.forward(request).await?;
                Err("the answer was lost".into())
            }
            Fate::Lost => Err("the request was lost".into()),
            Fate::Unanswered => {
                tokio::time::sleep(Duration::from_hours(1)).await;
                Err("the request was not answered".into())
            }
            Fate::Refused(status, kind) => {
                let body = json!({ "__type": kind, "message": "planned" }).to_string();
                Ok(Response::builder().status(status).body(Full::new(body.into()))?)
            }
            Fate::Answered(body) => Ok(Response::new(Full::new(body.to_string().into()))),
            Fate::Changed(body, change) => {
                let (mut parts, _) = request.into_parts();
                parts.headers.remove(CONTENT_LENGTH);
                let changed = Request::from_parts(parts, Full::new(body.to_string().into()));
                let (mut parts, body) = self.forward(changed).await?.into_parts();
                let body = body.collect().await.unwrap_or_else(|never: Infallible| match never {}).to_bytes();
                let body = change(serde_json::from_slice(&body)?);
                parts.headers.remove(CONTENT_LENGTH);
                Ok(Response::from_parts(parts, Full::new(body.to_string().into())))
            }
        }
    }

    async fn forward(&self, request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Broken> {
        let stream = TcpStream::connect(&self.upstream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok(Response::from_parts(parts, Full::new(body)))
    }
}
