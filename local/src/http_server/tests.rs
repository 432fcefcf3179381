use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::service_fn;

use super::*;

/// Limits with which nothing but the number of connections matters.
fn at_most(connections: usize) -> Limits {
    Limits { connections, ..Limits::DEFAULT }
}

/// Limits that a client exceeds at once, unless it is as fast as the server.
fn impatient() -> Limits {
    let moment = Duration::from_millis(50);
    Limits { connections: 8, pace: Pace { patience: moment, rate: 1 << 40 }, write: moment }
}

/// Serves within `limits` until the test's runtime ends. Returns the address.
async fn start<S, B>(limits: Limits, service: S) -> SocketAddr
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_within(limits, listener, DRAIN, std::future::pending(), move |_| service.clone()));
    address
}

/// Sends `request` on a new connection, and returns the beginning of the response.
async fn send(address: SocketAddr, request: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = [0; 256];
    let length = connection.read(&mut response).await.unwrap();
    String::from_utf8_lossy(&response[..length]).into_owned()
}

#[tokio::test]
async fn idle_connections_and_half_sent_heads_make_room_for_requests() {
    let address = start(
        at_most(8),
        service_fn(|_| async { Ok(Response::new(Full::new(Bytes::from_static(b"here")))) }),
    )
    .await;
    let mut held = Vec::new();
    for number in 0..40 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            connection.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ").await.unwrap();
        }
        held.push(connection);
        let response = send(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 200 OK"), "after {number} connections: {response:?}");
    }
    // They are closed at once, also those of which the server waits for the rest of a head.
    for connection in &mut held[..20] {
        let read = timeout(HEADER_TIME / 2, connection.read(&mut [0; 1])).await.expect("it is closed");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

/// All connections are accepted before the first one is served, and each one over the limit closes the oldest one.
#[tokio::test]
async fn requests_that_arrived_before_their_connections_were_accepted_are_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut connections = Vec::new();
    for _ in 0..50 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        connections.push(connection);
    }
    let service = service_fn(|_| async { Ok(Response::new(Full::new(Bytes::from_static(b"here")))) });
    tokio::spawn(serve_within(at_most(2), listener, DRAIN, std::future::pending(), move |_| service));
    for (number, connection) in connections.iter_mut().enumerate() {
        let mut response = [0; 256];
        let length = connection.read(&mut response).await.unwrap_or_else(|error| panic!("{number}: {error}"));
        assert!(response[..length].starts_with(b"HTTP/1.1 200 OK"), "{number}");
    }
}

#[tokio::test]
async fn a_request_in_progress_is_never_cut_off_for_a_new_connection() {
    let (release, released) = (CancellationToken::new(), CancellationToken::new());
    let (wait, seen) = (release.clone(), released.clone());
    let address = start(
        at_most(2),
        service_fn(move |_| {
            let (wait, seen) = (wait.clone(), seen.clone());
            async move {
                seen.cancel();
                wait.cancelled().await;
                Ok(Response::new(Full::new(Bytes::from_static(b"done"))))
            }
        }),
    )
    .await;
    let long = tokio::spawn(send(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    released.cancelled().await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    // The last ones are accepted only after the first ones were closed.
    let mut first = idle.remove(0);
    assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0);
    release.cancel();
    assert!(long.await.unwrap().starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_body_that_stops_or_trickles_ends_with_an_error() {
    let address = start(
        impatient(),
        service_fn(|request: Request<RequestBody>| async {
            let error = request.into_body().collect().await.unwrap_err();
            assert!(matches!(error, BodyError::TooSlow), "{error}");
            Ok(Response::new(Full::new(Bytes::from_static(b"slow"))))
        }),
    )
    .await;
    let head = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n";
    assert!(send(address, &[head, "seven b"].concat()).await.ends_with("slow"));
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = connection.split();
    let trickling = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            // The server has closed the connection.
            if writing.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    let mut response = Vec::new();
    tokio::select! {
        _ = reading.read_to_end(&mut response) => {}
        () = trickling => {}
    }
    assert!(response.is_empty() || response.ends_with(b"slow"), "{}", String::from_utf8_lossy(&response));
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_off() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let is_dropped = Arc::new(AtomicBool::new(false));
    let dropped = Arc::clone(&is_dropped);
    let address = start(
        impatient(),
        service_fn(move |_| {
            let held = Dropped(Arc::clone(&dropped));
            let endless = stream::repeat_with(move || {
                let _held = &held;
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 8_192])))
            });
            async { Ok(Response::new(StreamBody::new(endless))) }
        }),
    )
    .await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    while !is_dropped.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_request_states_its_host_once() {
    let service = service_fn(|_| async { Ok(Response::new(Full::new(Bytes::from_static(b"here")))) });
    let address = start(at_most(8), service).await;
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"),
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", "HTTP/1.0 400 Bad Request"),
    ] {
        let response = send(address, request).await;
        assert!(response.starts_with(expected), "{request:?}: {response:?}");
    }
}
