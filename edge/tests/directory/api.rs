//! The API with a replicated directory. Its other ports do only what grants need.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use streamio_edge::config::{CdnConfig, EdgeConfig, RateLimits, S3Config};
use streamio_edge::directory::DirectoryConfig;
use streamio_edge::home::{HomeClient, HomeConfig};
use streamio_edge::ports::Ports;
use streamio_edge::ports::journal::{Journal, JournalError, Recorded};
use streamio_edge::ports::outbound::{Outbound, OutboundError};
use streamio_edge::sign::key::{HashAlgorithm, KeyKind, KeyPairs, PrivateKey};
use streamio_edge::sign::s3::AddressStyle;
use streamio_edge::sign::sigv4::Credentials;
use streamio_edge::{Context, Edge};
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;

use crate::simulation::finish;
use crate::test_directory::TestDirectory;

pub(crate) struct Api {
    edge: Edge,
    harness: TestDirectory,
}

impl Api {
    pub(crate) fn new(harness: &TestDirectory, directory: &DirectoryConfig) -> Self {
        let s3 = S3Config {
            endpoint: "https://s3.eu-west-1.amazonaws.com".to_owned(),
            region: "eu-west-1".to_owned(),
            address_style: AddressStyle::VirtualHosted,
            raw_bucket: "streamio-raw".to_owned(),
            credentials: Credentials::new("AKIDEXAMPLE", "hidden").unwrap(),
        };
        let cdn = CdnConfig {
            base_url: "https://cdn.example".to_owned(),
            hash: HashAlgorithm::Sha256,
            expiry_bucket: 1,
        };
        let rate_limits = RateLimits { key: u32::MAX, project: u32::MAX, ..RateLimits::default() };
        let key = PrivateKey::generate(KeyKind::P256, [7; 32]);
        let home = HomeConfig::new("https://home.example", "eu-west-1", s3.credentials.clone());
        let clock = {
            let harness = harness.clone();
            move || harness.now()
        };
        let home = HomeClient::new(home, Arc::new(NullPorts), Arc::new(clock)).unwrap();
        let ports = Ports {
            directory: harness.isolate(0, directory),
            journal: Arc::new(NullPorts),
            home: Arc::new(home),
            outbound: Arc::new(NullPorts),
            url_signer: Arc::new(KeyPairs::new("K1", [("K1".to_owned(), key)]).unwrap()),
        };
        let edge = Edge::new(
            EdgeConfig {
                public_url: Some("https://api.example".to_owned()),
                rate_limits,
                ..EdgeConfig::new(s3, cdn)
            },
            ports,
        )
        .unwrap();
        Self { edge, harness: harness.clone() }
    }

    /// The response to a POST.
    pub(crate) fn post(&self, path: &str, api_key: &str, body: &'static str) -> Response<Bytes> {
        let request = Request::post(path)
            .header("x-api-key", api_key)
            .header("content-type", "application/json")
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap();
        let context = Context { now: self.harness.now(), random: [9; 32], client_address: None };
        finish(self.edge.handle(context, &request))
    }
}

/// A journal that accepts every grant; the other ports are empty.
struct NullPorts;

#[async_trait]
impl Journal for NullPorts {
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

#[async_trait]
impl Outbound for NullPorts {
    async fn send(&self, _: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        Err(OutboundError("there is no network".into()))
    }
}
