//! No log line, at any level, contains a secret.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::raw::RawRequest;
use crate::server::{RAW, S3TestServer, SECRET_ACCESS_KEY};
use crate::signer::{Signer, path};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// One thread, so that the subscriber of this test receives all events of its server and no others.
#[tokio::test(flavor = "current_thread")]
async fn signatures_queries_and_secrets_are_never_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(log.clone())
        .finish();
    let server = S3TestServer::start().await;
    let signer = Signer::default();
    let accepted = signer.presign(&server.host(), RawRequest::new("PUT", path(RAW, "accepted")).body("body"));
    let valid = signer.presign(&server.host(), RawRequest::new("PUT", path(RAW, "tampered")));
    let other = signer.presign(&server.host(), RawRequest::new("PUT", path(RAW, "other")));
    let tampered = RawRequest { target: other.target.replace("/other?", "/tampered?"), ..other };
    let header = signer.authorize(&server.host(), RawRequest::new("GET", path(RAW, "by-header")));
    let (_, authorization) = header.headers.iter().find(|(name, _)| name == "authorization").unwrap();
    let mut secrets = vec![SECRET_ACCESS_KEY.to_owned(), "X-Amz-".to_owned(), "AWS4-HMAC".to_owned()];
    secrets.push(authorization.rsplit('=').next().unwrap().to_owned());
    // The valid signature of the tampered request must not be logged either.
    for request in [&accepted, &tampered, &valid] {
        secrets.push(request.target.split_once("X-Amz-Signature=").unwrap().1[..64].to_owned());
    }
    // Set only now, because the signer of the test logs signatures.
    let guard = tracing::subscriber::set_default(subscriber);
    assert_eq!(accepted.send(server.address).await.status, 200);
    assert_eq!(tampered.send(server.address).await.status, 403);
    assert_eq!(header.send(server.address).await.status, 404);
    drop(guard);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for path in ["/raw/accepted", "/raw/tampered", "/raw/by-header"] {
        assert!(log.contains(path), "{path} is missing in the log:\n{log}");
    }
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log:\n{log}");
    }
}
