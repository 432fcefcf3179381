//! Sends webhooks over HTTPS to endpoints that tenants choose, without letting them reach the operator's network.
//!
//! - The URL is checked against the operator's rules for each request, not only when it is registered.
//! - A host name is resolved once, and the sender connects to the very addresses that it has checked. A second answer of a name server
//!   is never used. If a name has addresses of both kinds, only the allowed ones are tried.
//! - Redirects are not followed, and no proxy of the environment is used. There are no cookies, and bodies are not decompressed.
//! - One time limit includes everything from the name resolution to the last byte of the body that is read; the sizes of the answer's head
//!   and body are limited. The wait for a permit to look up a name is not included: names that do not resolve make no exchange with another
//!   endpoint fail.
//! - Each exchange has a connection of its own, with HTTP/1.1. Tenants that share a host therefore never share a connection: no answer of
//!   one can be taken for that of another, and the address is checked for each request. TLS sessions are resumed by host name, which
//!   spares most of the handshake's work.
//! - What an endpoint answers is never logged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use streamio_events::webhook::endpoint_url::Rules;
use streamio_events::webhook::exchange::{Answer, ErrorClass, Exchange, ExchangeError, ExchangeResult};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::ports::webhook_sender::{WebhookRequest, WebhookSender};

mod answer;
mod connect;
mod head_limit;
mod lookups;
mod request;
mod resolver;
mod retry_after;
mod tls;

pub use lookups::LookupPermit;
pub use resolver::{Resolver, SystemResolver};

/// The operator's settings of a [`HttpSender`].
#[derive(Debug, Clone, Default)]
pub struct SenderRules {
    /// Which URLs and addresses are allowed.
    pub urls: Rules,
    /// Root certificates in PEM that are trusted in addition to the system's, for a private certificate authority.
    pub extra_roots: Vec<u8>,
    /// Time limits.
    pub limits: Limits,
}

/// The time limits of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the whole exchange.
    pub exchange: Duration,
    /// For the connection to one address, after which the next one is tried.
    pub connect: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { exchange: Duration::from_secs(15), connect: Duration::from_secs(5) }
    }
}

/// How long [`HttpSender::send_soon`] waits for the permit to look up a name.
const PERMIT_WITHIN: Duration = Duration::from_secs(10);

/// Why a [`HttpSender`] cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The extra root certificates cannot be used.
    #[error("the extra root certificates are not certificates in PEM (-----BEGIN CERTIFICATE-----)")]
    ExtraRoots,
    /// There is no root certificate, so no certificate of an endpoint could be trusted.
    #[error(
        "the system has no root certificates; install its package of CA certificates, such as ca-certificates"
    )]
    NoRoots,
    /// The TLS library cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Sends webhooks over HTTP/1.1.
pub struct HttpSender {
    rules: Rules,
    limits: Limits,
    resolver: Arc<dyn Resolver>,
    lookups: lookups::Lookups,
    permit_within: Duration,
    tls: TlsConnector,
}

/// What an exchange is waiting for.
#[derive(Debug, Clone, Copy, Default)]
enum Phase {
    #[default]
    Resolution,
    Connection,
    Tls,
    Answer,
}

/// How far an exchange has come. It outlives the exchange, which the time limit may end.
#[derive(Default)]
struct Progress {
    phase: Phase,
    head: Option<Head>,
    body: Vec<u8>,
}

/// The recorded part of an answer's head.
struct Head {
    status: u16,
    retry_after_seconds: Option<u64>,
}

impl HttpSender {
    /// A sender that resolves names with `resolver`.
    ///
    /// # Errors
    /// No certificate could be trusted, or the extra root certificates are invalid.
    pub fn new(rules: SenderRules, resolver: Arc<dyn Resolver>) -> Result<Self, SenderError> {
        let SenderRules { urls, extra_roots, limits } = rules;
        let (lookups, permit_within) = (lookups::Lookups::default(), PERMIT_WITHIN);
        Ok(Self { rules: urls, limits, resolver, lookups, permit_within, tls: tls::connector(&extra_roots)? })
    }

    /// Sets how long [`Self::send_soon`] waits for the permit to look up a name; by default ten seconds.
    #[must_use]
    pub fn with_permit_within(self, permit_within: Duration) -> Self {
        Self { permit_within, ..self }
    }

    /// Waits for the permit to look up the name of the URL's host; `None` if its addresses are known without a look-up.
    async fn lookup_permit(&self, request: &WebhookRequest) -> Option<LookupPermit> {
        connect::needs_lookup(&request.url, &self.rules).then_some(())?;
        Some(self.lookups.permit(&request.project_id).await)
    }

    /// Sends the request, for which the name may be looked up.
    async fn send_permitted(&self, request: WebhookRequest, permit: Option<LookupPermit>) -> Exchange {
        let start = Instant::now();
        let mut progress = Progress::default();
        let outcome = timeout(self.limits.exchange, self.exchange(request, permit, &mut progress)).await;
        let result = match (progress.head, outcome) {
            // The status decides, even if the body ended early or too late.
            (Some(Head { status, retry_after_seconds }), _) => {
                ExchangeResult::Answer(Answer::new(status, retry_after_seconds, &progress.body))
            }
            (None, Ok(Err(error))) => ExchangeResult::Error(error),
            (None, _) => ExchangeResult::Error(self.too_slow(progress.phase)),
        };
        let duration_milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Exchange { duration_milliseconds, result }
    }

    async fn exchange(
        &self,
        request: WebhookRequest,
        permit: Option<LookupPermit>,
        progress: &mut Progress,
    ) -> Result<(), ExchangeError> {
        let WebhookRequest { url, headers, body, .. } = request;
        url.check(&self.rules).map_err(|refused| {
            ExchangeError::new(ErrorClass::UrlRefused, format!("{refused}; then update the endpoint"))
        })?;
        let request = request::http(&url, headers, body)?;
        let addresses = connect::addresses(&url, &self.rules, self.resolver.as_ref(), permit).await?;
        progress.phase = Phase::Connection;
        let stream = connect::tcp(&addresses, url.port(), self.limits.connect).await?;
        if !url.is_https() {
            progress.phase = Phase::Answer;
            return answer::read(stream, request, progress).await;
        }
        progress.phase = Phase::Tls;
        let stream = tls::handshake(&self.tls, url.host(), stream).await?;
        progress.phase = Phase::Answer;
        answer::read(stream, request, progress).await
    }

    /// The error of an exchange that took too long.
    fn too_slow(&self, phase: Phase) -> ExchangeError {
        let seconds = self.limits.exchange.as_secs_f64();
        let (class, message) = match phase {
            Phase::Resolution => (
                ErrorClass::NameNotResolved,
                format!("the host's name was not resolved within {seconds} s; check its name servers"),
            ),
            Phase::Connection => (
                ErrorClass::ConnectTimeout,
                format!("no connection was made within {seconds} s; check the host's firewall"),
            ),
            Phase::Tls => (
                ErrorClass::Timeout,
                format!(
                    "the TLS handshake was not finished within {seconds} s; check that the port serves HTTPS"
                ),
            ),
            Phase::Answer => (
                ErrorClass::Timeout,
                format!(
                    "there was no answer within {seconds} s; answer first and process the message afterwards"
                ),
            ),
        };
        ExchangeError::new(class, message)
    }
}

#[async_trait]
impl WebhookSender for HttpSender {
    async fn send(&self, request: WebhookRequest) -> Exchange {
        // How long the platform's other look-ups take is not a matter of this endpoint.
        let permit = self.lookup_permit(&request).await;
        self.send_permitted(request, permit).await
    }

    async fn send_soon(&self, request: WebhookRequest) -> Option<Exchange> {
        let permit = timeout(self.permit_within, self.lookup_permit(&request)).await.ok()?;
        Some(self.send_permitted(request, permit).await)
    }
}
