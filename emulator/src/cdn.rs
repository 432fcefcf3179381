//! Amazon CloudFront: the CDN of the one-machine platform. It serves the bucket of results to requests whose URL or cookies
//! have a valid signature.
//!
//! Not emulated: edge locations and caching.

use std::io;
use std::sync::Arc;

use streamio_edge::sign::key::{KeyKind, KeyPairs, PrivateKey};
use streamio_local::cdn::{BaseUrl, CdnConfig, StoreOrigin, TrustedKeys, serve};
use streamio_local::s3::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http_listener;
use crate::request_id::random_hex;
use crate::wall_clock;

/// The key pair that signs playback URLs.
pub struct PlaybackKey {
    /// CloudFront's id of the key pair.
    pub id: String,
    /// The private key, PKCS #8 in PEM.
    pub private_pem: String,
}

impl PlaybackKey {
    /// Generates an ECDSA P-256 key.
    pub fn generate() -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the operating system has random bytes");
        Self {
            id: format!("K{}", &random_hex::<7>().to_uppercase()[..13]),
            private_pem: PrivateKey::generate(KeyKind::P256, seed).to_pem(),
        }
    }
}

impl std::fmt::Debug for PlaybackKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PlaybackKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A running CDN.
#[derive(Debug)]
pub struct Cdn {
    url: String,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Cdn {
    /// Starts a CDN for the objects of `bucket`, which accepts signatures of `key`.
    pub async fn start(store: &Store, bucket: &str, key: &PlaybackKey) -> anyhow::Result<Self> {
        let listener = http_listener::bind().await?;
        let url = http_listener::url(&listener)?;
        let private = PrivateKey::from_pem(&key.private_pem)?;
        let pairs = KeyPairs::new(&key.id, [(key.id.clone(), private)])?;
        let public = pairs.public_keys().map(|(id, key)| (id.to_owned(), key.to_pem()));
        let config = CdnConfig::new(BaseUrl::parse(&url)?, TrustedKeys::from_pem(public)?);
        let origin = StoreOrigin::new(store.clone(), bucket);
        let stop = CancellationToken::new();
        let serving =
            serve(listener, origin, config, Arc::new(wall_clock::now), stop.clone().cancelled_owned());
        let served = tokio::spawn(async move { log_error(&serving.await) });
        Ok(Self { url, stop, served })
    }

    /// Returns the CDN's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the CDN after the pending requests.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.served.await;
    }
}

fn log_error(result: &io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(error = %error, "the CDN failed");
    }
}
