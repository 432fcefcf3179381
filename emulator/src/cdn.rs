//! Amazon CloudFront: the CDN of the one-machine platform, which serves the bucket of results to viewers whose URL or
//! cookies carry a valid signature, and to nobody else. It has one place in the world and keeps nothing.

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

/// The key pair with which playback URLs are signed.
pub struct PlaybackKey {
    /// What CloudFront calls it.
    pub id: String,
    /// The private key, PKCS #8 in PEM.
    pub private_pem: String,
}

impl PlaybackKey {
    /// A new key, ECDSA P-256.
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
    /// Starts it in front of `bucket`. It trusts signatures of `key`.
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
        let served = tokio::spawn(async move { told(serving.await) });
        Ok(Self { url, stop, served })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets requests finish, and ends it.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.served.await;
    }
}

fn told(end: io::Result<()>) {
    if let Err(error) = end {
        tracing::error!(error = %error, "the CDN has ended");
    }
}
