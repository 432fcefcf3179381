//! From request to answer: what is the same for all calls.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use streamio_events::event::Scope;
use streamio_events::id::{KeyId, ProjectId};
use streamio_events::timestamp::Timestamp;

use crate::api::{self, Answering, Exchange};
use crate::authenticate::{authenticate, authorize};
use crate::config::{EdgeConfig, InvalidConfig};
use crate::cors;
use crate::directory::{Known, Tolerance};
use crate::journal::JournalError;
use crate::port::{Cause, Ports};
use crate::problem::{Problem, ProblemKind};
use crate::rate_limit::RateLimiter;
use crate::reply;
use crate::request::{API_KEY_HEADER, IDEMPOTENCY_KEY_HEADER, Query, REQUEST_ID_HEADER, RequestId};
use crate::route::{self, Action, Call, Found};
use crate::sign::s3::BucketSigner;

/// The largest body that the API reads, in bytes. A server need not read more than one byte beyond it: a request with
/// that much is refused.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The request headers that the API reads; no other changes an answer. A host to whom reading headers is dear reads only
/// these.
pub const REQUEST_HEADERS: [HeaderName; 6] = [
    API_KEY_HEADER,
    CONTENT_TYPE,
    IDEMPOTENCY_KEY_HEADER,
    REQUEST_ID_HEADER,
    ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD,
];

/// The longest path and query, in bytes. The longest object key is 1,024 bytes, three times that when encoded.
const MAX_URI_BYTES: usize = 8 * 1024;

/// The API.
pub struct Edge {
    pub(crate) config: EdgeConfig,
    pub(crate) ports: Ports,
    /// Signs requests for RAW.
    pub(crate) raw: BucketSigner,
    /// The CDN's URL without a slash at its end.
    pub(crate) cdn_base_url: String,
    rate_limiter: RateLimiter<KeyId>,
}

/// What a request brings from outside besides itself.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The time of the request.
    pub now: Timestamp,
    /// 32 fresh bytes of cryptographic randomness, never used before.
    pub random: [u8; 32],
}

/// What is known of an exchange besides its answer, for the operator's log. It is an extension of the answer
/// (`response.extensions().get::<Served>()`) and holds no secret.
#[derive(Debug, Clone)]
pub struct Served {
    /// The id in the answer's `x-request-id`.
    pub request_id: String,
    /// The call, unless the path or the method is unknown.
    pub call: Option<&'static Call>,
    /// Whose API key it was, once that is known.
    pub project_id: Option<ProjectId>,
    /// Which API key it was, once that is known.
    pub key_id: Option<KeyId>,
    /// Why the service failed, where it did. Log it with its sources.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// A request whose call is known.
enum Opened<'a> {
    /// It needed no API key.
    Answered(Response<Bytes>),
    OfTenant(Asked<'a>),
}

/// Headers for an answer that is not there yet, each name once.
type Fields = Vec<(HeaderName, HeaderValue)>;

/// What is asked with an API key.
struct Asked<'a> {
    action: Action,
    scope: Scope,
    /// What stands in the place of the braces of the call's path, not decoded.
    parameter: &'a str,
    query: Query,
}

/// <https://www.rfc-editor.org/rfc/rfc9211>
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Edge {
    /// The API with this configuration.
    pub fn new(config: EdgeConfig, ports: Ports) -> Result<Self, InvalidConfig> {
        let (bucket, cdn_base_url) = config.validate()?;
        let raw = BucketSigner::new(bucket, config.s3.credentials.clone());
        let rate_limiter = RateLimiter::new(config.rate_limit);
        Ok(Self { config, ports, raw, cdn_base_url, rate_limiter })
    }

    /// Answers `request`, of whose target only the path and the query count. This never fails: what goes wrong becomes
    /// a problem. The server in front limits how long a request may take and how much of a body it reads
    /// ([`MAX_BODY_BYTES`]).
    pub async fn handle(&self, context: Context, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let request_id = RequestId::new(&parts.headers, context.random);
        let mut served = Served {
            request_id: request_id.as_str().to_owned(),
            call: None,
            project_id: None,
            key_id: None,
            cause: None,
        };
        let mut fields = Fields::new();
        let answered = match open(&parts, &body, &mut served) {
            Ok(Opened::Answered(response)) => Ok(response),
            Ok(Opened::OfTenant(asked)) => {
                // A function of its own, so that whoever asks without an API key need not wait for it to be compiled.
                let answering: Answering<'_> =
                    Box::pin(self.answer(asked, context, &parts, &body, &mut served, &mut fields));
                answering.await
            }
            Err(problem) => Err(problem),
        };
        let mut response = match answered {
            Ok(response) => response,
            Err(problem) => {
                served.cause = problem.cause();
                problem.into_response(request_id.as_str(), presented_key(&parts.headers))
            }
        };
        if parts.method == Method::HEAD {
            let length = HeaderValue::from(response.body().len());
            response.headers_mut().insert(CONTENT_LENGTH, length);
            *response.body_mut() = Bytes::new();
        }
        for (name, value) in fields {
            response.headers_mut().insert(name, value);
        }
        self.complete(&parts.headers, response, served)
    }

    /// The answer to a request whose work has come to nothing because of a fault of this program: a panic, or a limit of
    /// the host. The operator's log says more.
    pub fn failed(&self, random: [u8; 32], request: &Request<Bytes>) -> Response<Bytes> {
        self.refused(random, request, Problem::internal("the request's work has ended before its answer"))
    }

    /// The answer in place of one whose grant the journal said it would accept, and then did not. For hosts whose journal
    /// accepts while the answer is put together, and who then wait before they let it go.
    pub fn not_recorded(
        &self,
        random: [u8; 32],
        request: &Request<Bytes>,
        error: JournalError,
    ) -> Response<Bytes> {
        self.refused(random, request, api::not_recorded(error))
    }

    fn refused(&self, random: [u8; 32], request: &Request<Bytes>, problem: Problem) -> Response<Bytes> {
        let mut response = refusal(random, request, problem);
        cors::share(response.headers_mut(), &self.config.allowed_origins, request.headers());
        response
    }

    /// What every answer has.
    fn complete(
        &self,
        request: &HeaderMap,
        mut response: Response<Bytes>,
        served: Served,
    ) -> Response<Bytes> {
        cors::share(response.headers_mut(), &self.config.allowed_origins, request);
        with_served(response, served)
    }

    /// `fields` are headers for the answer, whatever it becomes.
    async fn answer(
        &self,
        Asked { action, scope, parameter, query }: Asked<'_>,
        context: Context,
        parts: &Parts,
        body: &Bytes,
        served: &mut Served,
        fields: &mut Fields,
    ) -> Result<Response<Bytes>, Problem> {
        // A film may go on while nobody can say whether the key still works; nothing new may begin.
        let tolerance = if scope == Scope::Playback { Tolerance::Stale } else { Tolerance::Strict };
        let Known { tenant, stale_for } =
            authenticate(&parts.headers, &*self.ports.directory, context.now, tolerance).await?;
        if let Some(stale_for) = stale_for {
            fields.push((CACHE_STATUS, stale(stale_for)));
        }
        served.project_id = Some(tenant.project_id.clone());
        served.key_id = Some(tenant.key_id.clone());

        let standing = self.rate_limiter.count(&tenant.key_id, context.now);
        fields.push((RATE_LIMIT_POLICY, self.rate_limiter.policy_field()));
        fields.push((RATE_LIMIT, standing.field()));
        if let Some(wait) = standing.refused_for {
            let detail = format!("This API key may go on in {:.1} seconds.", wait.as_secs_f64());
            return Err(Problem::new(ProblemKind::RateLimited, detail).retry_after(wait));
        }
        authorize(&tenant, scope)?;

        let api_key = presented_key(&parts.headers).unwrap_or_default();
        query.refuse_secret(api_key)?;
        let exchange = Exchange {
            edge: self,
            context,
            headers: &parts.headers,
            body,
            parameter,
            api_key,
            tenant: &tenant,
        };
        api::answer_tenant(action, &exchange, query).await
    }
}

/// Finds out what is asked, and answers what needs no API key.
fn open<'a>(parts: &'a Parts, body: &Bytes, served: &mut Served) -> Result<Opened<'a>, Problem> {
    if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > MAX_URI_BYTES) {
        return Err(Problem::new(ProblemKind::UriTooLong, ProblemKind::UriTooLong.advice()));
    }
    let (call, parameter) = match route::find(&parts.method, parts.uri.path()) {
        Found::Call(call, parameter) => (call, parameter),
        Found::Options(allow) => return Ok(Opened::Answered(options(&parts.headers, allow))),
        Found::OtherMethods(allow) => return Err(method_not_allowed(allow)),
        Found::Nothing => {
            return Err(Problem::new(ProblemKind::NoSuchPath, ProblemKind::NoSuchPath.advice()));
        }
    };
    served.call = Some(call);
    if body.len() > MAX_BODY_BYTES {
        return Err(Problem::new(ProblemKind::BodyTooLarge, ProblemKind::BodyTooLarge.advice()));
    }
    let query = Query::parse(parts.uri.query())?;
    match call.scope {
        Some(scope) => Ok(Opened::OfTenant(Asked { action: call.action, scope, parameter, query })),
        None => api::answer_anyone(call.action, parameter, query).map(Opened::Answered),
    }
}

/// The answer of a service that has no configuration to work with, and so no [`Edge`]. What is wrong is the operator's to
/// know: `cause` is for the log.
pub fn misconfigured(random: [u8; 32], request: &Request<Bytes>, cause: impl Into<Cause>) -> Response<Bytes> {
    refusal(random, request, Problem::internal(cause))
}

fn refusal(random: [u8; 32], request: &Request<Bytes>, problem: Problem) -> Response<Bytes> {
    let request_id = RequestId::new(request.headers(), random);
    let served = Served {
        request_id: request_id.as_str().to_owned(),
        call: None,
        project_id: None,
        key_id: None,
        cause: problem.cause(),
    };
    with_served(problem.into_response(request_id.as_str(), presented_key(request.headers())), served)
}

/// The answer with what every answer has, whatever the configuration.
fn with_served(mut response: Response<Bytes>, served: Served) -> Response<Bytes> {
    let headers = response.headers_mut();
    let request_id = HeaderValue::from_str(&served.request_id).expect("an id is plain ASCII");
    headers.insert(REQUEST_ID_HEADER, request_id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Answers hold signed URLs, or are about one tenant.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response.extensions_mut().insert(served);
    response
}

/// Says that what is known of the API key is older than it should be: a freshness of less than no seconds.
fn stale(by: Duration) -> HeaderValue {
    let seconds = by.as_secs() + u64::from(by.subsec_nanos() > 0);
    HeaderValue::from_str(&format!("streamio-directory; hit; ttl=-{seconds}")).expect("a name and a number")
}

fn presented_key(headers: &HeaderMap) -> Option<&str> {
    headers.get(API_KEY_HEADER).and_then(|value| value.to_str().ok())
}

#[cold]
fn method_not_allowed(allow: HeaderValue) -> Problem {
    let detail = format!("This path has: {}.", allow.to_str().unwrap_or_default());
    Problem::new(ProblemKind::MethodNotAllowed, detail).with_header(ALLOW, allow)
}

#[inline(never)]
fn options(headers: &HeaderMap, allow: HeaderValue) -> Response<Bytes> {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    if cors::is_preflight(headers) {
        cors::preflight(response.headers_mut(), &allow);
    }
    response.headers_mut().insert(ALLOW, allow);
    response
}
