//! From request to response: what all calls have in common.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE,
    IF_NONE_MATCH, ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use streamio_events::event::Scope;
use streamio_events::id::{KeyId, ProjectId, VideoId};

use crate::api::{self, CallFuture, Exchange, PLAY_PATH, PlayRequest};
use crate::authenticate::{authenticate, authorize};
use crate::config::{EdgeConfig, InvalidConfig};
use crate::context::Context;
use crate::cors::{self, Audience};
use crate::pending_response::PendingResponse;
use crate::ports::directory::{FoundTenant, Tolerance};
use crate::ports::journal::{JournalError, Receipt};
use crate::ports::{Cause, Ports};
use crate::problem::{Problem, ProblemKind};
use crate::reply;
use crate::request::{
    API_KEY_HEADER, IDEMPOTENCY_KEY_HEADER, Query, REQUEST_ID_HEADER, RequestId, percent_decode,
    presented_keys,
};
use crate::request_limits::{Counted, RequestLimits};
use crate::route::{self, Action, Call, Found, PathParameters, TenantAction};
use crate::services::Services;

/// The largest request body, in bytes. A server need not read more than one byte beyond it: that is enough to refuse the
/// request.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The request headers that the API reads, besides `Host` if the URI is not absolute; no other affects a response. A host for which
/// reading headers is expensive reads only these.
pub const REQUEST_HEADERS: [HeaderName; 8] = [
    API_KEY_HEADER,
    AUTHORIZATION,
    CONTENT_TYPE,
    IDEMPOTENCY_KEY_HEADER,
    REQUEST_ID_HEADER,
    ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD,
    IF_NONE_MATCH,
];

/// The longest path and query, in bytes. The longest object key is 1,024 bytes, three times that when encoded.
pub(crate) const MAX_URI_BYTES: usize = 8 * 1024;

/// The API.
pub struct Edge {
    services: Services,
    limits: RequestLimits,
}

/// Facts about an exchange for the operator's log: an extension of the response
/// (`response.extensions().get::<Served>()`). It holds no secret.
#[derive(Debug, Clone)]
pub struct Served {
    /// The id in the response's `x-request-id`.
    pub request_id: String,
    /// The call, unless the path or the method is unknown.
    pub call: Option<&'static Call>,
    /// The project of the API key, once known.
    pub project_id: Option<ProjectId>,
    /// The video that the path names, if the API key is one of a project.
    pub video_id: Option<VideoId>,
    /// The API key's id, once known.
    pub key_id: Option<KeyId>,
    /// Why the service failed, if it did. Log it with its sources.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The outcome of the steps that need no API key.
enum Routed<'a> {
    /// The call needed no API key.
    Done(Response<Bytes>),
    /// A request for the playlist with this key, not decoded.
    Play(&'a str),
    Tenant(TenantCall<'a>),
}

/// Headers of a response that does not exist yet, each name once.
type Fields = Vec<(HeaderName, HeaderValue)>;

/// A call that needs an API key.
struct TenantCall<'a> {
    action: TenantAction,
    scope: Scope,
    parameters: PathParameters<'a>,
    query: Query,
}

/// <https://www.rfc-editor.org/rfc/rfc9211>
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Edge {
    /// The API with this configuration.
    pub fn new(config: EdgeConfig, ports: Ports) -> Result<Self, InvalidConfig> {
        let limits = RequestLimits::new(config.rate_limits);
        Ok(Self { services: Services::new(config, ports)?, limits })
    }

    /// Returns the response to `request`. Where the public URL is not configured, it is that of the request, so a host that knows the
    /// whole URL passes it. Every failure is a problem response. The server in front limits the time and the size of the body that it reads ([`MAX_BODY_BYTES`]).
    pub async fn handle(&self, context: Context, request: &Request<Bytes>) -> Response<Bytes> {
        let PendingResponse { response, receipt } = self.handle_without_waiting(context, request).await;
        let Some(receipt) = receipt else { return response };
        match receipt.accepted().await {
            Ok(()) => response,
            Err(error) => self.not_recorded(context.random, request, error),
        }
    }

    /// Like [`Self::handle`], but leaves it to the host to wait for the journal's receipt before it sends the response.
    pub async fn handle_without_waiting(
        &self,
        context: Context,
        request: &Request<Bytes>,
    ) -> PendingResponse {
        let request_id = RequestId::new(request.headers(), context.random);
        let mut served = Served {
            request_id: request_id.as_str().to_owned(),
            call: None,
            project_id: None,
            video_id: None,
            key_id: None,
            cause: None,
        };
        let mut fields = Fields::new();
        let mut receipt = None;
        let result = match route(request, &mut served) {
            Ok(Routed::Done(response)) => Ok(response),
            Ok(Routed::Play(key)) => {
                let (services, uri, headers) = (&self.services, request.uri(), request.headers());
                api::handle_play(PlayRequest { services, context, uri, headers, key }).await
            }
            Ok(Routed::Tenant(call)) => {
                // A future of its own, so that a host need not compile it for requests without an API key.
                let future: CallFuture<'_> = Box::pin(self.handle_tenant(
                    call,
                    context,
                    request,
                    &mut served,
                    &mut fields,
                    &mut receipt,
                ));
                future.await
            }
            Err(problem) => Err(problem),
        };
        let mut response = match result {
            Ok(response) => response,
            Err(problem) => {
                served.cause = problem.cause();
                problem.into_response(request_id.as_str(), presented_keys(request.headers()))
            }
        };
        if request.method() == Method::HEAD && response.status() != StatusCode::NOT_MODIFIED {
            let length = HeaderValue::from(response.body().len());
            response.headers_mut().insert(CONTENT_LENGTH, length);
            *response.body_mut() = Bytes::new();
        }
        for (name, value) in fields {
            response.headers_mut().insert(name, value);
        }
        PendingResponse { response: self.complete(request, response, served), receipt }
    }

    /// The response to a request whose work was cut short by a fault of this program (a panic) or a limit of the host. The
    /// details are in the operator's log.
    pub fn failed(&self, random: [u8; 32], request: &Request<Bytes>) -> Response<Bytes> {
        self.problem_response(
            random,
            request,
            Problem::internal("the request was cut short before its response"),
        )
    }

    /// The response to send when the receipt of a [`PendingResponse`] fails.
    pub fn not_recorded(
        &self,
        random: [u8; 32],
        request: &Request<Bytes>,
        error: JournalError,
    ) -> Response<Bytes> {
        self.problem_response(random, request, api::not_recorded(error))
    }

    fn problem_response(
        &self,
        random: [u8; 32],
        request: &Request<Bytes>,
        problem: Problem,
    ) -> Response<Bytes> {
        let mut response = problem_response(random, request, problem);
        self.share(request, &mut response);
        response
    }

    /// Adds the headers that every response has.
    fn complete(
        &self,
        request: &Request<Bytes>,
        mut response: Response<Bytes>,
        served: Served,
    ) -> Response<Bytes> {
        self.share(request, &mut response);
        with_served(response, served)
    }

    /// Lets pages read `response` whose origin may.
    fn share(&self, request: &Request<Bytes>, response: &mut Response<Bytes>) {
        let audience = audience(request.uri().path());
        cors::share(
            response.headers_mut(),
            &self.services.config.allowed_origins,
            audience,
            request.headers(),
        );
    }

    /// Authenticates, authorizes and handles a call. `fields` receives headers for the response, also for a problem;
    /// `receipt` receives that of a recorded grant.
    async fn handle_tenant(
        &self,
        TenantCall { action, scope, parameters, query }: TenantCall<'_>,
        context: Context,
        request: &Request<Bytes>,
        served: &mut Served,
        fields: &mut Fields,
        receipt: &mut Option<Box<dyn Receipt>>,
    ) -> Result<Response<Bytes>, Problem> {
        // Playback continues while the key cannot be confirmed; uploads and commands need a confirmed key.
        let tolerance = if scope == Scope::Playback { Tolerance::Stale } else { Tolerance::Strict };
        let Context { now, client_address, .. } = context;
        if let Some(refusal) = self.limits.refuse_address(client_address, request.headers(), now) {
            state_limits(refusal, fields)?;
        }
        let found = authenticate(request.headers(), &*self.services.ports.directory, now, tolerance).await;
        if found.as_ref().is_err_and(|problem| problem.status() == StatusCode::UNAUTHORIZED) {
            self.limits.count_failed_authentication(client_address, now);
        }
        let FoundTenant { tenant, stale_for } = found?;
        if let Some(stale_for) = stale_for {
            fields.push((CACHE_STATUS, stale(stale_for)));
        }
        served.project_id = Some(tenant.project_id.clone());
        served.video_id = percent_decode(parameters.first).and_then(|text| text.parse().ok());
        served.key_id = Some(tenant.key_id.clone());

        state_limits(self.limits.count(&tenant, now), fields)?;
        authorize(&tenant, scope)?;

        let api_key = presented_keys(request.headers()).into_iter().flatten().next().unwrap_or_default();
        query.refuse_secret(api_key)?;
        let exchange = Exchange {
            services: &self.services,
            context,
            uri: request.uri(),
            headers: request.headers(),
            body: request.body(),
            parameters,
            api_key,
            tenant: &tenant,
            receipt: OnceLock::new(),
        };
        let result = api::handle_tenant(action, &exchange, query).await;
        *receipt = exchange.receipt.into_inner();
        result
    }
}

/// Adds the headers of a counted request to those of its response. Fails if the request is refused.
fn state_limits(Counted { policy, status, refused }: Counted, fields: &mut Fields) -> Result<(), Problem> {
    fields.push((RATE_LIMIT_POLICY, policy));
    fields.push((RATE_LIMIT, status));
    refused.map_or(Ok(()), Err)
}

/// Finds the call, and handles it if it needs no API key.
fn route<'a>(request: &'a Request<Bytes>, served: &mut Served) -> Result<Routed<'a>, Problem> {
    let uri = request.uri();
    if uri.path_and_query().is_some_and(|target| target.as_str().len() > MAX_URI_BYTES) {
        return Err(Problem::new(ProblemKind::UriTooLong, ProblemKind::UriTooLong.advice()));
    }
    let (call, parameters) = match route::find(request.method(), uri.path()) {
        Found::Call(call, parameters) => (call, parameters),
        Found::Options(allow) => return Ok(Routed::Done(options(request, allow))),
        Found::OtherMethods(allow) => return Err(method_not_allowed(allow)),
        Found::Nothing => {
            return Err(Problem::new(ProblemKind::NoSuchPath, ProblemKind::NoSuchPath.advice()));
        }
    };
    served.call = Some(call);
    if request.body().len() > MAX_BODY_BYTES {
        return Err(Problem::new(ProblemKind::BodyTooLarge, ProblemKind::BodyTooLarge.advice()));
    }
    match call.action {
        // Its query is that of the CDN, and players add parameters of their own.
        Action::Play => Ok(Routed::Play(parameters.first)),
        Action::Public(action) => {
            api::handle_public(action, parameters.first, Query::parse(uri.query())?).map(Routed::Done)
        }
        Action::Tenant(scope, action) => {
            let query = Query::parse(uri.query())?;
            Ok(Routed::Tenant(TenantCall { action, scope, parameters, query }))
        }
    }
}

/// The response of a service without a valid configuration, and so without an [`Edge`]. `cause` is for the operator's log.
pub fn misconfigured(random: [u8; 32], request: &Request<Bytes>, cause: impl Into<Cause>) -> Response<Bytes> {
    problem_response(random, request, Problem::internal(cause))
}

fn problem_response(random: [u8; 32], request: &Request<Bytes>, problem: Problem) -> Response<Bytes> {
    let request_id = RequestId::new(request.headers(), random);
    let served = Served {
        request_id: request_id.as_str().to_owned(),
        call: None,
        project_id: None,
        video_id: None,
        key_id: None,
        cause: problem.cause(),
    };
    with_served(problem.into_response(request_id.as_str(), presented_keys(request.headers())), served)
}

/// Adds the headers that do not depend on the configuration, and `served` as an extension.
fn with_served(mut response: Response<Bytes>, served: Served) -> Response<Bytes> {
    let headers = response.headers_mut();
    let request_id = HeaderValue::from_str(&served.request_id).expect("an id is plain ASCII");
    headers.insert(REQUEST_ID_HEADER, request_id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Responses hold signed URLs or a tenant's data.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response.extensions_mut().insert(served);
    response
}

/// The `Cache-Status` of a tenant that is older than the directory's hard age: a negative `ttl`.
fn stale(by: Duration) -> HeaderValue {
    let seconds = by.as_secs() + u64::from(by.subsec_nanos() > 0);
    HeaderValue::from_str(&format!("streamio-directory; hit; ttl=-{seconds}")).expect("a name and a number")
}

#[cold]
fn method_not_allowed(allow: HeaderValue) -> Problem {
    let detail = format!("This path has: {}.", allow.to_str().unwrap_or_default());
    Problem::new(ProblemKind::MethodNotAllowed, detail).with_header(ALLOW, allow)
}

/// Who requests a path from a web page.
fn audience(path: &str) -> Audience {
    if path.starts_with(PLAY_PATH) { Audience::Players } else { Audience::Clients }
}

#[inline(never)]
fn options(request: &Request<Bytes>, allow: HeaderValue) -> Response<Bytes> {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    if cors::is_preflight(request.headers()) {
        cors::preflight(response.headers_mut(), audience(request.uri().path()), &allow);
    }
    response.headers_mut().insert(ALLOW, allow);
    response
}
