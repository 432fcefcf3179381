//! A reverse proxy in front of an emulated service that injects faults: throttling, lost responses, partial failures of
//! batches, duplicated requests, delays.
//!
//! Tests choose the operation, the fault and the number of requests ([`FaultProxy::inject`]), and assert afterwards that the
//! fault happened ([`InjectedFault::hits`]). The proxy records all calls with their times ([`FaultProxy::calls`]).
//!
//! It does not enforce the limits of the real services (1,000 write units per second and partition, 1 MB per second and
//! shard, 20 `RunTask` per second).

mod call;
mod capacity;
mod partial;
mod throttled;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::call::Call;
use self::call::Calls;
pub use self::capacity::{Consumed, Units};
pub use self::throttled::Service;
use crate::http_listener::{self, CloseConnection};

/// How long idle connections are kept: shorter than Node.js keeps them, so that no request meets a closing connection.
const IDLE: Duration = Duration::from_secs(2);

/// A fault of a request.
#[derive(Clone)]
pub enum Fault {
    /// The request is not forwarded; the response is the service's throttling error.
    Throttle,
    /// The request is forwarded, and the connection is closed without a response.
    LoseResponse,
    /// The request is not forwarded, and the connection is closed.
    Refuse,
    /// Only for `PutRecords`: records for whose index the function returns true are throttled, the others forwarded.
    Partial(fn(usize) -> bool),
    /// The request is forwarded twice; the response is the second one.
    Duplicate,
    /// The request is forwarded after this time.
    Delay(Duration),
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Fault {
    /// Returns the name, as in [`Call::fault`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::LoseResponse => "lose-response",
            Self::Refuse => "refuse",
            Self::Partial(_) => "partial",
            Self::Duplicate => "duplicate",
            Self::Delay(_) => "delay",
        }
    }
}

/// A handle of an injected fault.
#[derive(Debug, Clone)]
pub struct InjectedFault(Arc<Rule>);

impl InjectedFault {
    /// Returns the number of requests that the fault has affected.
    pub fn hits(&self) -> usize {
        self.0.hit.load(Ordering::SeqCst)
    }

    /// Cancels the fault for further requests.
    pub fn cancel(&self) {
        self.0.left.store(0, Ordering::SeqCst);
    }
}

struct Rule {
    operation: String,
    /// The text that the body must contain; empty: any body.
    containing: String,
    fault: Fault,
    left: AtomicUsize,
    hit: AtomicUsize,
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, fault, left, hit, .. } = self;
        write!(formatter, "{fault:?} of {operation}: {hit:?} times, {left:?} left")
    }
}

/// A running proxy. It stops when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    endpoint: String,
    proxy: Arc<Proxy>,
    _stop: DropGuard,
}

struct Proxy {
    service: Service,
    upstream: String,
    http: reqwest::Client,
    rules: Mutex<Vec<Arc<Rule>>>,
    calls: Mutex<Calls>,
    /// Present while capacity is metered.
    consumed: Mutex<Option<Consumed>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Proxy").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl FaultProxy {
    /// Starts a proxy in front of `service` at the URL `upstream`.
    pub async fn start(service: Service, upstream: &str) -> io::Result<Self> {
        let listener = http_listener::bind().await?;
        let endpoint = http_listener::url(&listener)?;
        let http = reqwest::Client::builder().no_proxy().pool_idle_timeout(IDLE).tcp_nodelay(true).build();
        let proxy = Arc::new(Proxy {
            service,
            upstream: upstream.trim_end_matches('/').to_owned(),
            http: http.map_err(io::Error::other)?,
            rules: Mutex::default(),
            calls: Mutex::default(),
            consumed: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let responding = Arc::clone(&proxy);
        tokio::spawn(http_listener::serve(listener, stop.clone(), move |request| {
            let proxy = Arc::clone(&responding);
            async move { proxy.respond(request).await }
        }));
        Ok(Self { endpoint, proxy, _stop: stop.drop_guard() })
    }

    /// Returns the proxy's URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Injects `fault` into the next `times` requests of `operation` (such as `PutItem`) whose body contains `containing`. If
    /// several injected faults match a request, the first that has not happened `times` times applies.
    pub fn inject(&self, operation: &str, containing: &str, times: usize, fault: Fault) -> InjectedFault {
        let rule = Arc::new(Rule {
            operation: operation.to_owned(),
            containing: containing.to_owned(),
            fault,
            left: AtomicUsize::new(times),
            hit: AtomicUsize::new(0),
        });
        lock(&self.proxy.rules).push(Arc::clone(&rule));
        InjectedFault(rule)
    }

    /// Returns the latest calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.proxy.calls).latest()
    }

    /// Begins to meter the capacity that DynamoDB reports, from zero.
    pub fn meter_capacity(&self) {
        *lock(&self.proxy.consumed) = Some(Consumed::default());
    }

    /// Returns the capacity consumed since [`Self::meter_capacity`].
    pub fn consumed(&self) -> Consumed {
        lock(&self.proxy.consumed).clone().unwrap_or_default()
    }

    /// Returns the number of calls of `operation`.
    pub fn count(&self, operation: &str) -> usize {
        lock(&self.proxy.calls).count(operation)
    }
}

impl Proxy {
    async fn respond(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CloseConnection> {
        let begun = Instant::now();
        let operation = operation(request.headers());
        let fault = self.fault_of(&operation, request.body());
        let name = fault.as_ref().map(Fault::name);
        let is_metered = capacity::is_reported(&operation) && lock(&self.consumed).is_some();
        let request = if is_metered { request.map(|body| capacity::with_report(&body)) } else { request };
        let result = self.respond_with(fault, request).await;
        if is_metered
            && let Ok(response) = &result
            && let Some(consumed) = &mut *lock(&self.consumed)
        {
            consumed.add(&operation, response.status().is_success(), response.body());
        }
        let status = result.as_ref().map_or(0, |response| response.status().as_u16());
        let call = Call { operation, begun, took: begun.elapsed(), status, fault: name };
        lock(&self.calls).record(call);
        result
    }

    async fn respond_with(
        &self,
        fault: Option<Fault>,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, CloseConnection> {
        match fault {
            None => Ok(self.forward(request).await),
            Some(Fault::Throttle) => Ok(self.service.throttled()),
            Some(Fault::Refuse) => Err(CloseConnection),
            Some(Fault::LoseResponse) => {
                self.forward(request).await;
                Err(CloseConnection)
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(self.forward(request).await)
            }
            Some(Fault::Duplicate) => {
                self.forward(request.clone()).await;
                Ok(self.forward(request).await)
            }
            Some(Fault::Partial(refused)) => {
                Ok(partial::put_records(request, refused, |request| self.forward(request)).await)
            }
        }
    }

    fn fault_of(&self, operation: &str, body: &Bytes) -> Option<Fault> {
        let contains = |needle: &str| {
            needle.is_empty() || body.windows(needle.len()).any(|window| window == needle.as_bytes())
        };
        let rules = lock(&self.rules);
        let rule = rules.iter().find(|rule| {
            rule.operation == operation && rule.left.load(Ordering::SeqCst) > 0 && contains(&rule.containing)
        })?;
        // Fails if `InjectedFault::cancel` has just set the count to 0.
        rule.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).ok()?;
        rule.hit.fetch_add(1, Ordering::SeqCst);
        Some(rule.fault.clone())
    }

    async fn forward(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (mut head, body) = request.into_parts();
        for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            head.headers.remove(name);
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let sent = self
            .http
            .request(head.method, format!("{}{path}", self.upstream))
            .headers(head.headers)
            .body(body)
            .send();
        match async { read_response(sent.await?).await }.await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(error = %error, "an emulated service does not respond");
                self.service.error(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "ServiceUnavailable",
                    "The service does not respond.",
                )
            }
        }
    }
}

async fn read_response(received: reqwest::Response) -> reqwest::Result<Response<Bytes>> {
    let (status, mut headers) = (received.status(), received.headers().clone());
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let mut response = Response::new(received.bytes().await?);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Returns the operation that the headers name: `PutItem` for `x-amz-target: DynamoDB_20120810.PutItem`.
pub(crate) fn operation(headers: &HeaderMap) -> String {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
