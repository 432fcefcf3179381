//! The log lines of requests, and that they contain no secrets.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use http::Method;

use crate::clock::NOW;
use crate::memory_origin::MemoryOrigin;
use crate::signer::{ANY, cookies, policy, signed};
use crate::test_cdn::{BASE, TestCdn};

/// All log lines of the crate under test in this process, at every level.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts to collect the log. Must be called before the first request: a call site that was reached without a
/// subscriber may stay disabled.
pub(crate) fn collect() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter("streamio_local=trace")
            .with_ansi(false)
            .with_writer(|| Collector)
            .init();
    });
}

struct Collector;

impl io::Write for Collector {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged() -> String {
    String::from_utf8(LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
}

#[test]
fn a_request_is_logged_without_its_query_and_cookies() {
    let cdn = TestCdn::with(
        MemoryOrigin::default()
            .with("logged/clip.mp4", "video/mp4", "bytes")
            .with("logged/clip.m3u8", "application/vnd.apple.mpegurl", "#EXTM3U\n1.m4s\n")
            .with("logged/odd.m3u8", "application/vnd.apple.mpegurl", "not a playlist"),
    );
    let custom = ANY.custom(&policy("*", NOW + 60, None, None));
    let canned = ANY.canned(&format!("{BASE}/logged/clip.mp4"), NOW + 60);
    let (good, wrong) = (cookies(&canned), cookies(&canned.replace("Expires=1", "Expires=2")));
    for path in ["logged/clip.mp4", "logged/clip.m3u8", "logged/odd.m3u8", "logged/none", "broken", "%zz"] {
        for parameters in [&custom, &canned, "Key-Pair-Id=KSECRET", "token=do-not-log"] {
            cdn.get(&signed(&format!("{BASE}/{path}"), parameters));
        }
        for cookie in [&good, &wrong, "session=do-not-log"] {
            cdn.request(&Method::HEAD, &format!("{BASE}/{path}"), &[("cookie", cookie)]);
        }
    }
    let log = logged();
    assert!(log.contains("CDN request served http.method=GET url.path=\"/logged/clip.mp4\""), "{log}");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("url.path=\"/logged/")).collect();
    assert_eq!(lines.len(), 28, "one line per request: {lines:#?}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("http.status=403") && line.contains("reason=Missing Signature"))
    );
    assert!(log.contains("CDN request failed: an object could not be read"), "{log}");
    let value = |parameters: &str, name: &str| {
        let value = parameters.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap();
        value.trim_start_matches('=').to_owned()
    };
    for secret in [
        value(&custom, "Signature"),
        value(&canned, "Signature"),
        value(&custom, "Policy"),
        "Signature=".to_owned(),
        "Policy=".to_owned(),
        "KSECRET".to_owned(),
        ANY.key_pair_id.to_owned(),
        "do-not-log".to_owned(),
    ] {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}
