//! A proxy between an AWS client and an emulator. It counts requests and injects the faults of a network and of a
//! service under load.

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

/// What happens to a request.
pub(crate) enum Fate {
    /// It is forwarded.
    Forwarded,
    /// It takes effect, and the connection breaks before its response.
    ResponseLost,
    /// The connection breaks before it takes effect.
    RequestLost,
    /// It takes no effect, and no response is sent for longer than any client waits.
    NoResponse,
    /// It takes no effect, and the service responds with this error.
    Refused(u16, &'static str),
    /// It takes no effect, and the service responds with this as a success.
    Response(Value),
    /// This body is forwarded instead, and the response is changed.
    ChangedResponse(Value, Box<dyn FnOnce(Value) -> Value + Send>),
}

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReceivedRequest {
    /// The operation, `PutItem`.
    pub(crate) operation: String,
    pub(crate) body: Value,
}

type Plan = Box<dyn FnMut(&ReceivedRequest) -> Fate + Send>;
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
    received: Mutex<Vec<ReceivedRequest>>,
}

impl Proxy {
    /// A proxy of the service at `upstream`, `http://host:port`, which forwards all requests.
    pub(crate) async fn of(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            plan: Mutex::new(Box::new(|_| Fate::Forwarded)),
            received: Mutex::default(),
        });
        let listener = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Self { address, shared, listener }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Plans the fates of all requests from now on.
    pub(crate) fn plan(&self, plan: impl FnMut(&ReceivedRequest) -> Fate + Send + 'static) {
        *self.shared.plan.lock().unwrap() = Box::new(plan);
    }

    /// The next requests meet `fates`, one each; later ones are forwarded.
    pub(crate) fn script(&self, fates: impl IntoIterator<Item = Fate, IntoIter: Send + 'static>) {
        let mut fates = fates.into_iter();
        self.plan(move |_| fates.next().unwrap_or(Fate::Forwarded));
    }

    /// Returns the requests since the last call.
    pub(crate) fn take_requests(&self) -> Vec<ReceivedRequest> {
        std::mem::take(&mut *self.shared.received.lock().unwrap())
    }

    /// Returns the operations of the requests since the last call.
    pub(crate) fn take_operations(&self) -> Vec<String> {
        self.take_requests().into_iter().map(|received| received.operation).collect()
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
        let service = service_fn(move |request| respond(Arc::clone(&shared), request));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A broken connection may be planned.
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

/// Boxed, because the future of [`respond`] is large.
type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, BrokenConnection>> + Send>>;

/// No response is to be sent.
#[derive(Debug, thiserror::Error)]
#[error("the connection breaks")]
struct BrokenConnection(#[source] Broken);

fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> ResponseFuture {
    Box::pin(async move { shared.respond(request).await.map_err(BrokenConnection) })
}

impl Shared {
    async fn respond(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let target = parts.headers["x-amz-target"].to_str()?;
        let received = ReceivedRequest {
            operation: target.split_once('.').map_or(target, |(_, operation)| operation).to_owned(),
            body: serde_json::from_slice(&body)?,
        };
        let fate = (self.plan.lock().unwrap())(&received);
        self.received.lock().unwrap().push(received);
        let request = Request::from_parts(parts, Full::new(body));
        match fate {
            Fate::Forwarded => self.forward(request).await,
            Fate::ResponseLost => {
                self.forward(request).await?;
                Err("the response was lost".into())
            }
            Fate::RequestLost => Err("the request was lost".into()),
            Fate::NoResponse => {
                tokio::time::sleep(Duration::from_hours(1)).await;
                Err("no response was sent".into())
            }
            Fate::Refused(status, kind) => {
                let body = json!({ "__type": kind, "message": "planned" }).to_string();
                Ok(Response::builder().status(status).body(Full::new(body.into()))?)
            }
            Fate::Response(body) => Ok(Response::new(Full::new(body.to_string().into()))),
            Fate::ChangedResponse(body, change) => {
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
