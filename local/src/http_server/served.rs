//! The service of one connection: refuses requests without one `Host`, counts requests until their responses are sent, and dates
//! the responses.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{CONNECTION, DATE, Entry, HOST};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower::{Service, ServiceExt as _};

use super::connections::{InProgress, Requests};
use super::request_body::{Pace, RequestBody};

/// A Tower service as a hyper service.
pub(super) struct Served<S> {
    service: S,
    requests: Requests,
    pace: Pace,
}

impl<S> Served<S> {
    pub(super) fn new(service: S, requests: Requests, pace: Pace) -> Self {
        Self { service, requests, pace }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Served<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    B: Body,
{
    type Response = Response<Counted<B>>;
    type Error = S::Error;
    type Future = Answering<S>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = has_one_host(&request)
            .then(|| self.service.clone().oneshot(request.map(|body| RequestBody::new(body, self.pace))));
        Answering { answer, in_progress: Some(self.requests.begin()) }
    }
}

/// Whether a request says once to which host it is sent. A proxy and this server could otherwise understand it differently.
/// <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>
fn has_one_host(request: &Request<Incoming>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        1 => true,
        0 => request.version() < Version::HTTP_11,
        _ => false,
    }
}

pin_project! {
    /// The future of a response.
    pub(super) struct Answering<S: Service<Request<RequestBody>>> {
        // `None` for a request that the service does not get.
        #[pin]
        answer: Option<Oneshot<S, Request<RequestBody>>>,
        in_progress: Option<InProgress>,
    }
}

impl<S, B> Future for Answering<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
{
    type Output = Result<Response<Counted<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.answer.as_pin_mut() {
            Some(answer) => ready!(answer.poll(context))?.map(Some),
            None => bad_request(),
        };
        let in_progress = this.in_progress.take();
        let mut response = response.map(|body| Counted { body, _in_progress: in_progress });
        date(response.headers_mut(), SystemTime::now().max(UNIX_EPOCH));
        Poll::Ready(Ok(response))
    }
}

/// The response to a request whose meaning is not certain, after which the connection is closed.
fn bad_request<B>() -> Response<Option<B>> {
    let mut response = Response::new(None);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Sets the header `Date`, unless the service did.
///
/// hyper would add a date that it caches until the clock reaches the next second, which takes an hour after the clock was set back an
/// hour. Clients of S3 correct their own clocks by this header, so that their signatures would be refused until then.
fn date(headers: &mut HeaderMap, now: SystemTime) {
    if let Entry::Vacant(entry) = headers.entry(DATE)
        && let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(now))
    {
        entry.insert(value);
    }
}

pin_project! {
    /// The body of a response, or none, whose request is in progress until it is dropped.
    pub(super) struct Counted<B> {
        #[pin]
        body: Option<B>,
        _in_progress: Option<InProgress>,
    }
}

impl<B: Body> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().body.as_pin_mut() {
            Some(body) => body.poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
