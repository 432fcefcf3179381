//! Endpoints that give no valid answer.

use streamio_core::ports::webhook_sender::WebhookSender as _;
use streamio_events::webhook::exchange::ErrorClass;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::fixtures::{
    AMPLE, V4, answer, class, error, exchange_with, listen_on_one, local_sender, other, read_request,
    request, until_closed,
};

/// The class of the failure of a request that an endpoint answers with `bytes`, before it closes the connection.
async fn failure(bytes: &[u8]) -> ErrorClass {
    let (exchange, ()) = exchange_with(AMPLE, async |mut stream| {
        read_request(&mut stream).await;
        // The sender may have closed the connection already.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        until_closed(&mut stream).await;
    })
    .await;
    class(exchange)
}

fn reset(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_invalid() {
    for bytes in [
        b"<html>HTTP/0.9 has no head</html>\r\n".as_slice(),
        b"hello\r\n\r\n",
        b"\0\x01\x02\x03\xff\xfe\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/3.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: nine\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        assert_eq!(failure(bytes).await, ErrorClass::InvalidAnswer, "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_before_the_answer_is_reported_as_such() {
    for bytes in [b"".as_slice(), b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"] {
        assert_eq!(failure(bytes).await, ErrorClass::ConnectionReset, "{}", String::from_utf8_lossy(bytes));
    }
    let (after_request, ()) = exchange_with(AMPLE, async |mut stream| {
        read_request(&mut stream).await;
        reset(&stream);
    })
    .await;
    assert_eq!(class(after_request), ErrorClass::ConnectionReset);
    let (before_request, ()) = exchange_with(AMPLE, async |stream| reset(&stream)).await;
    assert_eq!(class(before_request), ErrorClass::ConnectionReset);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let endless_headers = async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        let mut number = 0_u64;
        while stream.write_all(format!("x-{number}: {}\r\n", "a".repeat(1000)).as_bytes()).await.is_ok() {
            number += 1;
        }
    };
    let (exchange, ()) = exchange_with(AMPLE, endless_headers).await;
    assert_eq!(class(exchange), ErrorClass::AnswerTooLarge);

    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert_eq!(failure(many.as_bytes()).await, ErrorClass::AnswerTooLarge);
    let long_line = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(1_000_000));
    assert_eq!(failure(long_line.as_bytes()).await, ErrorClass::AnswerTooLarge);
    let long_reason = format!("HTTP/1.1 200 {}", "b".repeat(1_000_000));
    assert_eq!(failure(long_reason.as_bytes()).await, ErrorClass::AnswerTooLarge);
    let just_over = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(32 * 1024));
    assert_eq!(failure(just_over.as_bytes()).await, ErrorClass::AnswerTooLarge);
}

#[tokio::test]
async fn a_port_at_which_nothing_listens_is_reported_as_such() {
    let (_listener, _closed, port) = listen_on_one(other(), V4).await;
    let exchange = local_sender(AMPLE).send(request(&format!("http://127.0.0.1:{port}/"))).await;
    let error = error(exchange);
    assert_eq!(error.class, ErrorClass::ConnectFailed);
    assert_eq!(
        error.message,
        "the host refused the connection; check that a server listens on the URL's port"
    );
}

/// The HTTP library limits each head, and not how many interim answers come before the last one.
#[tokio::test]
async fn interim_answers_without_end_are_cut() {
    let (exchange, ()) = exchange_with(AMPLE, async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        let many = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1000);
        while stream.write_all(&many).await.is_ok() {}
    })
    .await;
    let error = error(exchange);
    assert_eq!(error.class, ErrorClass::AnswerTooLarge);
    assert!(error.message.contains("interim answers"), "{}", error.message);
}

#[tokio::test]
async fn some_interim_answers_are_allowed() {
    let (exchange, ()) = exchange_with(AMPLE, async |mut stream: TcpStream| {
        read_request(&mut stream).await;
        let some = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100);
        stream.write_all(&some).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    })
    .await;
    assert_eq!(answer(exchange).status, 200);
}
