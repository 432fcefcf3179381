//! Endpoints that take too long, and the time limits.
//!
//! How long a limit must be for an exchange to come to a certain point depends on the machine. So each test repeats its exchange with a
//! longer limit until the endpoint has come to that point.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use streamio_core::ports::webhook_sender::WebhookSender as _;
use streamio_core::webhooks::http_sender::Limits;
use streamio_events::webhook::exchange::{ErrorClass, Exchange, ExchangeResult};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::certificates::Authority;
use crate::fixtures::{
    AMPLE, Answers, V4, accept, answer, class, error, exchange_with, listen, local_sender, other,
    read_request, request, until_closed,
};
use crate::tls::{names_sender, serve_tls};

/// The pause between two parts of a slow answer.
const PAUSE: Duration = Duration::from_millis(5);

/// Limits that become longer, up to more than a minute.
fn limits() -> impl Iterator<Item = Limits> {
    (0..10).map(|power| {
        let exchange = Duration::from_millis(150) * 2_u32.pow(power);
        Limits { exchange, connect: exchange }
    })
}

/// Sends requests with longer and longer limits until the endpoint's `serve` says that it has reached the state that is tested.
async fn slow(serve: impl AsyncFn(TcpStream) -> bool) -> Exchange {
    for limits in limits() {
        let (exchange, reached) = exchange_with(limits, &serve).await;
        if reached {
            assert!(
                u128::from(exchange.duration_milliseconds) >= limits.exchange.as_millis(),
                "{exchange:?}"
            );
            return exchange;
        }
    }
    panic!("the endpoint did not reach the state that is tested with any of the limits");
}

/// Reads a request; `false` if the sender gives up before.
async fn read_or_closed(stream: &mut TcpStream) -> bool {
    let mut first = [0];
    // The sender writes the whole request at once.
    matches!(stream.peek(&mut first).await, Ok(1)) && {
        read_request(stream).await;
        true
    }
}

#[tokio::test]
async fn an_endpoint_that_never_answers_times_out() {
    let exchange = slow(async |mut stream| {
        let reached = read_or_closed(&mut stream).await;
        until_closed(&mut stream).await;
        reached
    })
    .await;
    let error = error(exchange);
    assert_eq!(error.class, ErrorClass::Timeout);
    assert!(error.message.starts_with("there was no answer within "), "{}", error.message);
}

#[tokio::test]
async fn a_head_that_drips_times_out() {
    let exchange = slow(async |mut stream| {
        let reached = read_or_closed(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nx: ".iter().chain(std::iter::repeat(&b'a'));
        for byte in head {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        reached
    })
    .await;
    assert_eq!(class(exchange), ErrorClass::Timeout);
}

#[tokio::test]
async fn interim_answers_without_end_time_out() {
    let exchange = slow(async |mut stream| {
        let reached = read_or_closed(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").await.is_ok() {
            tokio::time::sleep(PAUSE).await;
        }
        reached
    })
    .await;
    assert_eq!(class(exchange), ErrorClass::Timeout);
}

#[tokio::test]
async fn a_body_that_drips_is_cut_at_the_limit_and_the_status_decides() {
    for limits in limits() {
        let (exchange, ()) = exchange_with(limits, async |mut stream: TcpStream| {
            if read_or_closed(&mut stream).await {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
                while stream.write_all(b"a").await.is_ok() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        })
        .await;
        if matches!(exchange.result, ExchangeResult::Answer(_)) {
            let answer = answer(exchange);
            assert_eq!((answer.status, answer.body.trim_matches('a')), (200, ""));
            return;
        }
    }
    panic!("the head never arrived in time");
}

#[tokio::test]
async fn a_tls_handshake_that_is_never_finished_times_out() {
    let (listener, port) = listen().await;
    for limits in limits() {
        let sender = names_sender(&Authority::new(), port, limits, Answers::new(&[&[V4]]));
        let sent = sender.send(request(&format!("https://hooks.example:{port}/")));
        let (exchange, reached) = tokio::join!(sent, async {
            let mut stream = accept(&listener).await;
            let reached = matches!(stream.peek(&mut [0]).await, Ok(1));
            until_closed(&mut stream).await;
            reached
        });
        if reached {
            let error = error(exchange);
            assert_eq!(error.class, ErrorClass::Timeout);
            assert!(error.message.contains("TLS"), "{}", error.message);
            return;
        }
    }
    panic!("the handshake never began");
}

/// A listener at 127.0.0.1 that accepts nothing and whose queue is full, so that further connections are never made; and what fills it.
async fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((V4, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    // A connection to this machine is made at once or never.
    while let Ok(stream) = timeout(Duration::from_secs(1), TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    (listener, queue)
}

#[tokio::test]
async fn a_host_that_accepts_no_connection_times_out() {
    let (listener, _queue) = full_listener().await;
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let brief = Duration::from_millis(100);
    let connect = Limits { connect: brief, ..AMPLE };
    let exchange = local_sender(connect).send(request(&url)).await;
    assert!(u128::from(exchange.duration_milliseconds) < AMPLE.exchange.as_millis() / 2, "{exchange:?}");
    assert_eq!(class(exchange), ErrorClass::ConnectTimeout);
    let whole = Limits { exchange: brief, ..AMPLE };
    assert_eq!(class(local_sender(whole).send(request(&url)).await), ErrorClass::ConnectTimeout);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_accepts_no_connection() {
    let (full, second, _queue) = loop {
        let (full, queue) = full_listener().await;
        if let Ok(second) = TcpListener::bind((other(), full.local_addr().unwrap().port())).await {
            break (full, second, queue);
        }
    };
    let port = full.local_addr().unwrap().port();
    let authority = Authority::new();
    let identity = authority.for_names(&["hooks.example"]);
    for limits in limits() {
        let limits = Limits { exchange: AMPLE.exchange, ..limits };
        let sender = names_sender(&authority, port, limits, Answers::new(&[&[V4, other()]]));
        let sent = pin!(sender.send(request(&format!("https://hooks.example:{port}/"))));
        let served = pin!(serve_tls(&second, &identity));
        let exchange = match select(sent, served).await {
            Either::Left((exchange, _)) => exchange,
            Either::Right(((), sent)) => sent.await,
        };
        if let ExchangeResult::Answer(answer) = exchange.result {
            assert_eq!(answer.status, 200);
            return;
        }
    }
    panic!("the second address was not tried");
}

#[tokio::test]
async fn dropping_the_exchange_closes_the_connection() {
    let (listener, port) = listen().await;
    let sender = local_sender(AMPLE);
    let sent = Box::pin(sender.send(request(&format!("http://127.0.0.1:{port}/"))));
    let served = pin!(async {
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await;
        stream
    });
    let Either::Right((mut stream, sent)) = select(sent, served).await else { panic!("there was no answer") };
    drop(sent);
    until_closed(&mut stream).await;
}
