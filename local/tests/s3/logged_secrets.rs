//! No log line, at any level, contains a secret.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

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

thread_local! {
    /// Whether the events of this thread are logged.
    static LOGGED: Cell<bool> = const { Cell::new(false) };
}

/// Makes `log` receive the events of all threads that set `LOGGED`.
///
/// The subscriber is that of the whole process. A subscriber of one thread would miss events: `tracing` caches for
/// each place in the code whether anybody wants its events, and asks only the thread that comes to the place first,
/// which may be that of another test.
fn log_to(log: &Log) {
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(log.clone());
    let filter = dynamic_filter_fn(|_, _| LOGGED.get());
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(layer))
        .expect("no other test sets a subscriber");
    // Places that another thread came to while the subscriber was being set.
    tracing::callsite::rebuild_interest_cache();
}

// One thread, so that the log has all events of this test's server and no others.
#[tokio::test(flavor = "current_thread")]
async fn signatures_queries_and_secrets_are_never_logged() {
    let log = Log::default();
    log_to(&log);
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
    LOGGED.set(true);
    assert_eq!(accepted.send(server.address).await.status, 200);
    assert_eq!(tampered.send(server.address).await.status, 403);
    assert_eq!(header.send(server.address).await.status, 404);
    LOGGED.set(false);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for path in ["/raw/accepted", "/raw/tampered", "/raw/by-header"] {
        assert!(log.contains(path), "{path} is missing in the log:\n{log}");
    }
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log:\n{log}");
    }
}
