//! The S3 server on a free port, with a store in a temporary directory.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;

use aws_credential_types::Credentials as SdkCredentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use streamio_local::s3::{Config, Credentials, Store, StoreOptions, Watch, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const REGION: &str = "us-east-1";
pub(crate) const ACCESS_KEY_ID: &str = "AKIDPLATFORM";
pub(crate) const SECRET_ACCESS_KEY: &str = "a-secret/access+key=of-the-platform";
/// A second accepted key pair, as during a rotation.
pub(crate) const OTHER_ACCESS_KEY_ID: &str = "AKIDOTHER";
pub(crate) const OTHER_SECRET_ACCESS_KEY: &str = "another-secret-access-key";
/// A watched bucket.
pub(crate) const RAW: &str = "raw";
/// A bucket that is not watched.
pub(crate) const PROCESSED: &str = "processed";

/// A running S3 server. Dropping it stops it, and fails the test if an upload is still being received.
pub(crate) struct S3TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
    pub(crate) client: Client,
    task: JoinHandle<()>,
    shutdown: CancellationToken,
    directory: TempDir,
}

impl Drop for S3TestServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if !std::thread::panicking() {
            let incoming = std::fs::read_dir(self.directory().join("incoming")).unwrap().count();
            assert_eq!(incoming, 0, "an upload is still being received");
        }
    }
}

impl S3TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(StoreOptions::default()).await
    }

    /// Starts a server that accepts parts of any size.
    pub(crate) async fn with_small_parts() -> Self {
        Self::start_with(StoreOptions { minimum_part_size: 1, ..StoreOptions::default() }).await
    }

    pub(crate) async fn start_with(options: StoreOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), options).await.unwrap();
        store.ensure_bucket(RAW, Watch::Created).await.unwrap();
        store.ensure_bucket(PROCESSED, Watch::Off).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            credentials: vec![
                Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY),
                Credentials::new(OTHER_ACCESS_KEY_ID, OTHER_SECRET_ACCESS_KEY),
            ],
            region: REGION.to_owned(),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, store.clone(), config, shutdown.clone()));
        let client = client(address, ACCESS_KEY_ID, SECRET_ACCESS_KEY);
        Self { address, store, client, task, shutdown, directory }
    }

    /// Starts the shutdown.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Stops the server and waits until its requests in progress have ended.
    pub(crate) async fn stop(&mut self) {
        self.begin_shutdown();
        (&mut self.task).await.unwrap();
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The `Host` header of requests.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) async fn put(&self, key: &str, body: impl Into<ByteStream>) -> String {
        let put = self.client.put_object().bucket(RAW).key(key).body(body.into()).send().await.unwrap();
        put.e_tag().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, key: &str) -> Vec<u8> {
        let got = self.client.get_object().bucket(RAW).key(key).send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }

    pub(crate) async fn exists(&self, key: &str) -> bool {
        self.store.head(RAW, key).await.unwrap().is_some()
    }

    /// The names of all files with bytes of objects, parts and unfinished uploads.
    pub(crate) fn files(&self) -> Vec<String> {
        files(self.directory())
    }
}

pub(crate) fn client(address: SocketAddr, access_key_id: &str, secret_access_key: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(format!("http://{address}"))
        .credentials_provider(SdkCredentials::new(access_key_id, secret_access_key, None, None, "test"))
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

pub(crate) fn files(store: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![store.join("blobs"), store.join("incoming")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else {
                files.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    files.sort();
    files
}

/// The status and error code of a refused request.
pub(crate) fn refusal<T: Debug, E: ProvideErrorMetadata + Debug>(
    result: Result<T, SdkError<E>>,
) -> (u16, String) {
    let error = result.expect_err("the request should have been refused");
    let status = error.raw_response().expect("the server should have responded").status().as_u16();
    (status, error.code().unwrap_or_default().to_owned())
}

/// Pseudo-random bytes, so that any shift or swap is detected.
pub(crate) fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// User metadata in the type of the SDK.
pub(crate) fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
