//! A reverse proxy in front of an emulated service, which misbehaves as the real one does: it throttles, loses answers,
//! takes only some of the records of a batch, takes a request twice, or takes its time.
//!
//! Tests say which operation, how often and how ([`FaultProxy::fault`]), and see afterwards that it came to that
//! ([`Injected::times`]). All calls are recorded with their times ([`FaultProxy::calls`]).
//!
//! What it does not do: it limits nothing by itself. Real limits (1,000 write units a second and partition, 1 MB a second
//! and shard, 20 `RunTask` a second) are reached by no test here; that they are answered rightly is what is tested.

mod call;
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
pub use self::throttled::Service;
use crate::http_listener::{self, Cut};

/// An idle connection is given up before Node.js does it from the other side.
const IDLE: Duration = Duration::from_secs(2);

/// How a request goes wrong.
#[derive(Clone)]
pub enum Fault {
    /// It is refused for its rate, in the words of the service, and not forwarded.
    Throttle,
    /// It is done, and the connection is cut before the answer.
    LoseAnswer,
    /// The connection is cut, and nothing was done.
    Refuse,
    /// `PutRecords` only: the records whose index this accepts are refused for their rate, the others forwarded.
    Partial(fn(usize) -> bool),
    /// It is done twice; the second answer is given.
    Twice,
    /// It is done after this time.
    Delay(Duration),
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Fault {
    /// What [`Call::fault`] names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::LoseAnswer => "lose-answer",
            Self::Refuse => "refuse",
            Self::Partial(_) => "partial",
            Self::Twice => "twice",
            Self::Delay(_) => "delay",
        }
    }
}

/// A fault that is on its way, or was.
#[derive(Debug, Clone)]
pub struct Injected(Arc<Rule>);

impl Injected {
    /// How many requests it has hit.
    pub fn times(&self) -> usize {
        self.0.hit.load(Ordering::SeqCst)
    }

    /// Lets all further requests pass.
    pub fn end(&self) {
        self.0.left.store(0, Ordering::SeqCst);
    }
}

struct Rule {
    operation: String,
    /// What the body must contain; nothing: any body.
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

/// A running proxy; it ends when it is dropped.
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
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Proxy").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl FaultProxy {
    /// A proxy in front of `service` at the URL `upstream`.
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
        });
        let stop = CancellationToken::new();
        let answering = Arc::clone(&proxy);
        tokio::spawn(http_listener::serve(listener, stop.clone(), move |request| {
            let proxy = Arc::clone(&answering);
            async move { proxy.answer(request).await }
        }));
        Ok(Self { endpoint, proxy, _stop: stop.drop_guard() })
    }

    /// Its URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The next `times` requests of `operation` (such as `PutItem`) whose body contains `containing` go wrong by `fault`.
    /// Where several faults fit a request, the first one that is not used up hits.
    pub fn fault(&self, operation: &str, containing: &str, times: usize, fault: Fault) -> Injected {
        let rule = Arc::new(Rule {
            operation: operation.to_owned(),
            containing: containing.to_owned(),
            fault,
            left: AtomicUsize::new(times),
            hit: AtomicUsize::new(0),
        });
        lock(&self.proxy.rules).push(Arc::clone(&rule));
        Injected(rule)
    }

    /// The latest calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.proxy.calls).latest()
    }

    /// How many calls of `operation` there were.
    pub fn count(&self, operation: &str) -> usize {
        lock(&self.proxy.calls).count(operation)
    }
}

impl Proxy {
    async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Cut> {
        let begun = Instant::now();
        let operation = operation(request.headers());
        let fault = self.fault_of(&operation, request.body());
        let name = fault.as_ref().map(Fault::name);
        let answer = self.answer_with(fault, request).await;
        let status = answer.as_ref().map_or(0, |response| response.status().as_u16());
        let call = Call { operation, begun, took: begun.elapsed(), status, fault: name };
        lock(&self.calls).record(call);
        answer
    }

    async fn answer_with(
        &self,
        fault: Option<Fault>,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Cut> {
        match fault {
            None => Ok(self.forward(request).await),
            Some(Fault::Throttle) => Ok(self.service.throttled()),
            Some(Fault::Refuse) => Err(Cut),
            Some(Fault::LoseAnswer) => {
                self.forward(request).await;
                Err(Cut)
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(self.forward(request).await)
            }
            Some(Fault::Twice) => {
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
        // Only under the lock is it taken from; `Injected::end` may have been faster.
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
        match async { whole(sent.await?).await }.await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(error = %error, "an emulated service does not answer");
                self.service.error(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "ServiceUnavailable",
                    "It does not answer.",
                )
            }
        }
    }
}

async fn whole(answer: reqwest::Response) -> reqwest::Result<Response<Bytes>> {
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let mut response = Response::new(answer.bytes().await?);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// What comes after the point in `x-amz-target: DynamoDB_20120810.PutItem`.
pub(crate) fn operation(headers: &HeaderMap) -> String {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
