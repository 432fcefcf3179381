//! An API with one project, whose ports are in memory and always answer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use http::{Request, Response};
use streamio_edge::config::{AllowedOrigins, CdnConfig, EdgeConfig, RateLimits, S3Config};
use streamio_edge::ports::Ports;
use streamio_edge::ports::directory::{Directory, DirectoryError, FoundTenant, Tolerance};
use streamio_edge::ports::journal::{Journal, JournalError, Recorded};
use streamio_edge::ports::outbound::{Outbound, OutboundError};
use streamio_edge::sign::key::{HashAlgorithm, KeySignature, UrlSigner, UrlSignerError};
use streamio_edge::sign::s3::AddressStyle;
use streamio_edge::sign::sigv4::Credentials;
use streamio_edge::{Context, Edge};
use streamio_events::api_key::{ApiKey, KeyHash};
use streamio_events::commit::NewCommit;
use streamio_events::event::{RecordedEvent, Scope};
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

mod home;

/// The CDN's base URL.
pub(crate) const CDN: &str = "https://d111111abcdef8.cloudfront.net";

/// The API.
pub(crate) struct Api {
    edge: Edge,
    pub(crate) key: ApiKey,
    /// The next response of the object store and of the CDN.
    response: Arc<Mutex<Response<Bytes>>>,
}

impl Api {
    /// An API that pages of these origins may call. `None` if its configuration is refused.
    pub(crate) fn new(allowed_origins: AllowedOrigins) -> Option<Self> {
        let key = ApiKey::generate("live", [1; 32]).expect("`live` is an environment");
        let tenant = Tenant {
            project_id: "acme".parse().expect("it is an id"),
            key_id: key.hash().key_id(),
            scopes: vec![Scope::Admin],
            expires_at: None,
            revoked: false,
            suspended: false,
            measured: None,
            version: 1,
        };
        let response = Arc::new(Mutex::new(Response::new(Bytes::new())));
        let ports = Ports {
            directory: Arc::new(OneKey(key.hash(), tenant)),
            journal: Arc::new(Forgetful),
            home: Arc::new(home::Empty),
            outbound: Arc::new(OneResponse(response.clone())),
            url_signer: Arc::new(Unsigned),
        };
        let edge = Edge::new(EdgeConfig { allowed_origins, ..config() }, ports).ok()?;
        Some(Self { edge, key, response })
    }

    /// The response to a request, when the object store and the CDN respond with `response`.
    pub(crate) fn handle(&self, request: &Request<Bytes>, response: Response<Bytes>) -> Response<Bytes> {
        *self.response.lock().unwrap_or_else(PoisonError::into_inner) = response;
        let context = Context {
            now: Timestamp::from_unix_seconds(1_767_323_045),
            random: [7; 32],
            client_address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        };
        block_on(self.edge.handle(context, request))
    }
}

/// No limit of requests is reached.
fn config() -> EdgeConfig {
    let s3 = S3Config {
        endpoint: "https://s3.eu-west-1.amazonaws.com".to_owned(),
        region: "eu-west-1".to_owned(),
        address_style: AddressStyle::VirtualHosted,
        raw_bucket: "streamio-raw".to_owned(),
        credentials: Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
            .expect("they are valid"),
    };
    let cdn = CdnConfig { base_url: CDN.to_owned(), hash: HashAlgorithm::Sha256, expiry_bucket: 1 };
    let quota = u32::MAX;
    let rate_limits =
        RateLimits { key: quota, project: quota, failed_authentications: quota, ..RateLimits::default() };
    let public_url = Some("https://api.streamio.example".to_owned());
    EdgeConfig { public_url, rate_limits, ..EdgeConfig::new(s3, cdn) }
}

/// A directory with one key.
struct OneKey(KeyHash, Tenant);

#[async_trait]
impl Directory for OneKey {
    async fn lookup(
        &self,
        key: &KeyHash,
        _: Timestamp,
        _: Tolerance,
    ) -> Result<Option<FoundTenant>, DirectoryError> {
        Ok((*key == self.0).then(|| self.1.clone().into()))
    }
}

/// A journal without a memory.
struct Forgetful;

#[async_trait]
impl Journal for Forgetful {
    fn has_memory(&self) -> bool {
        false
    }

    async fn record(&self, _: &StreamId, _: NewCommit) -> Result<Recorded, JournalError> {
        Ok(Recorded::New)
    }

    async fn recall(&self, _: &StreamId, _: &CommitId) -> Result<Option<RecordedEvent>, JournalError> {
        Ok(None)
    }
}

/// An object store and a CDN that always give one response.
struct OneResponse(Arc<Mutex<Response<Bytes>>>);

#[async_trait]
impl Outbound for OneResponse {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        let host = request.uri().host().unwrap_or_default();
        assert!(host.ends_with(".amazonaws.com") || CDN.ends_with(host), "the API called {host}");
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// A signer whose signatures cost no time.
struct Unsigned;

#[async_trait]
impl UrlSigner for Unsigned {
    async fn sign(&self, _: HashAlgorithm, _: &[u8]) -> Result<KeySignature, UrlSignerError> {
        Ok(KeySignature { key_pair_id: "K2JCJMDEHXQW5F".to_owned(), signature: vec![7; 71] })
    }
}
