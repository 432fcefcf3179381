//! What is sent, and what is recorded of an answer.

use std::io;
use std::sync::{Arc, Mutex};

use streamio_core::ports::webhook_sender::WebhookSender as _;
use streamio_events::webhook::exchange::{Answer, MAX_BODY_BYTES};
use tokio::io::AsyncWriteExt as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::fixtures::{
    AMPLE, BODY, accept, answer, assert_untouched, exchange_with, listen, local_sender, read_request,
    request, until_closed,
};

/// The recorded answer to a request that an endpoint answers with `bytes`, before it closes the connection.
async fn recorded(bytes: impl AsRef<[u8]>) -> Answer {
    let (exchange, ()) = exchange_with(AMPLE, async |mut stream| {
        read_request(&mut stream).await;
        // The sender may stop reading before the end.
        let _ = stream.write_all(bytes.as_ref()).await;
    })
    .await;
    answer(exchange)
}

fn answered(status: u16, retry_after_seconds: Option<u64>, body: &str) -> Answer {
    Answer { status, retry_after_seconds, body: body.to_owned() }
}

#[tokio::test]
async fn the_request_has_the_given_headers_and_body() {
    let (exchange, sent) = exchange_with(AMPLE, async |mut stream| {
        let request = read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        request
    })
    .await;
    assert_eq!(answer(exchange), answered(204, None, ""));
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    assert_eq!(lines.next(), Some("POST /hook HTTP/1.1"));
    let mut headers: Vec<_> = lines.filter(|line| !line.starts_with("host: 127.0.0.1:")).collect();
    headers.sort_unstable();
    let agent = concat!("user-agent: Streamio/", env!("CARGO_PKG_VERSION"));
    let length = format!("content-length: {}", BODY.len());
    assert_eq!(
        headers,
        ["connection: close", &length, "content-type: application/json", agent, "webhook-id: msg_1"]
    );
    assert_eq!(body.as_bytes(), BODY);
}

#[tokio::test]
async fn status_pause_and_body_are_recorded() {
    for (bytes, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", answered(200, None, "ok")),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
            answered(200, None, "ok!"),
        ),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", answered(200, None, "until the end")),
        ("HTTP/1.1 204 No Content\r\n\r\n", answered(204, None, "")),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", answered(410, None, "")),
        (
            "HTTP/1.1 429 Slow Down\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n",
            answered(429, Some(120), ""),
        ),
        (
            "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\ncontent-length: 4\r\n\r\nbusy",
            answered(503, Some(0), "busy"),
        ),
        (
            "HTTP/1.1 503 Busy\r\nretry-after: Thu, 01 Jan 2015 00:00:00 GMT\r\n\r\n",
            answered(503, Some(0), ""),
        ),
        ("HTTP/1.1 503 Busy\r\nretry-after: tomorrow\r\n\r\n", answered(503, None, "")),
        ("HTTP/1.1 503 Busy\r\nretry-after: é\r\n\r\n", answered(503, None, "")),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            answered(200, None, "ok"),
        ),
        ("HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n", answered(202, None, "")),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: a\r\nconnection: upgrade\r\n\r\n",
            answered(101, None, ""),
        ),
        ("HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n", answered(999, None, "")),
        // The endpoint announces more than it sends. It has answered all the same.
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", answered(200, None, "half")),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense",
            answered(200, None, "half"),
        ),
        // Compressed bodies stay as they are.
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x01",
            answered(200, None, "\x1f\x01"),
        ),
    ] {
        assert_eq!(recorded(bytes).await, expected, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_date_in_retry_after_is_the_pause_until_then() {
    let bytes =
        "HTTP/1.1 503 Busy\r\nretry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\ncontent-length: 0\r\n\r\n";
    let pause = recorded(bytes).await.retry_after_seconds.unwrap();
    // 9999-12-31T23:59:59Z, less a time between 2026 and 2200.
    assert!((246_000_000_000..=251_635_000_000).contains(&pause), "{pause}");
}

#[tokio::test]
async fn only_the_beginning_of_a_body_is_recorded() {
    let page = "é".repeat(20_000);
    let bytes = format!("HTTP/1.1 500 Oops\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    assert_eq!(recorded(bytes).await, answered(500, None, &"é".repeat(MAX_BODY_BYTES / 2)));
    assert_eq!(
        recorded(b"HTTP/1.1 500 Oops\r\n\r\na\xff\xfe").await,
        answered(500, None, "a\u{fffd}\u{fffd}")
    );
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_connection_closed() {
    let (exchange, sent) = exchange_with(AMPLE, async |mut stream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut sent = 0_usize;
        while stream.write_all(&[b'a'; 4096]).await.is_ok() {
            sent += 4096;
            // The system's buffers hold a few megabytes.
            assert!(sent < 64 * 1024 * 1024, "the sender does not stop reading");
        }
        sent
    })
    .await;
    assert_eq!(answer(exchange), answered(200, None, &"a".repeat(MAX_BODY_BYTES)));
    assert!(sent >= 64 * 1024, "{sent}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for status in [300, 301, 302, 303, 307, 308] {
        let (target, port) = listen().await;
        let head = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://127.0.0.1:{port}/\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(recorded(head).await, answered(status, None, ""));
        assert_untouched(&target).await;
    }
}

#[tokio::test]
async fn each_request_has_its_own_connection() {
    let (listener, port) = listen().await;
    let sender = local_sender(AMPLE);
    for _ in 0..2 {
        let sent = sender.send(request(&format!("http://localhost:{port}/")));
        let (exchange, ()) = tokio::join!(sent, async {
            let mut stream = accept(&listener).await;
            read_request(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n")
                .await
                .unwrap();
            until_closed(&mut stream).await;
        });
        assert_eq!(answer(exchange).status, 200);
    }
    assert_untouched(&listener).await;
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut *self.0.lock().unwrap(), bytes)
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

#[tokio::test]
async fn nothing_that_an_endpoint_answers_is_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(log.clone());
    let guard = tracing::subscriber::set_default(subscriber.finish());
    for bytes in [
        "HTTP/1.1 500 Secret\r\nx-secret: secret\r\ncontent-length: 6\r\n\r\nsecret",
        "secret",
        "HTTP/1.1 200 OK\r\nsecret: \0secret\r\n\r\n",
    ] {
        exchange_with(AMPLE, async |mut stream| {
            read_request(&mut stream).await;
            stream.write_all(bytes.as_bytes()).await.unwrap();
        })
        .await;
    }
    drop(guard);
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("no answer"), "{logged}");
    assert!(!logged.to_ascii_lowercase().contains("secret"), "{logged}");
}
