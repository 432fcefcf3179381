//! An S3 server on a directory that verifies signatures.

use std::net::SocketAddr;
use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use streamio_events::secret::Secret;
use streamio_worker::settings::{AccessKey, S3Settings};
use streamio_worker::storage::s3::S3Storage;
use tokio::net::TcpListener;

use super::harness::{PROCESSED, RAW};

/// A running S3 server. Dropping it stops it.
pub(super) struct S3Server {
    pub(super) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
    directory: tempfile::TempDir,
}

impl S3Server {
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for bucket in ["bucket", RAW, PROCESSED] {
            std::fs::create_dir(directory.path().join(bucket)).unwrap();
        }
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single("access", "secret"));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service.clone());
                connections.spawn(connection);
            }
        });
        Self { address, task, directory }
    }

    pub(super) async fn client(&self, secret: &str) -> S3Storage {
        S3Storage::connect(&S3Settings {
            endpoint: Some(format!("http://{}", self.address).parse().unwrap()),
            region: "local".into(),
            path_style: true,
            credentials: Some(AccessKey {
                access_key_id: "access".into(),
                secret_access_key: Secret::new(secret),
                session_token: None,
            }),
        })
        .await
    }

    pub(super) fn path(&self, bucket: &str, key: &str) -> PathBuf {
        self.directory.path().join(bucket).join(key)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
