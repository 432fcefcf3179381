//! Senders, requests and endpoints.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use streamio_core::ports::webhook_sender::{WebhookRequest, WebhookSender as _};
use streamio_core::webhooks::http_sender::{HttpSender, Limits, LookupPermit, Resolver, SenderRules};
use streamio_events::webhook::endpoint_url::{EndpointUrl, Rules};
use streamio_events::webhook::exchange::{Answer, ErrorClass, Exchange, ExchangeError, ExchangeResult};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub(crate) const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The body of every request.
pub(crate) const BODY: &[u8] = br#"{"type":"video.ready"}"#;

/// A limit that no exchange reaches.
pub(crate) const AMPLE: Limits = Limits { exchange: Duration::from_mins(2), connect: Duration::from_mins(1) };

/// A resolver that gives the next of its answers for each look-up, the last one again and again.
#[derive(Default)]
pub(crate) struct Answers {
    next: Mutex<VecDeque<Vec<IpAddr>>>,
    names: Mutex<Vec<String>>,
}

impl Answers {
    pub(crate) fn new(answers: &[&[IpAddr]]) -> Arc<Self> {
        let next = answers.iter().map(|addresses| addresses.to_vec()).collect();
        Arc::new(Self { next: Mutex::new(next), names: Mutex::default() })
    }

    /// The names that were looked up.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for Answers {
    async fn resolve(&self, name: &str, _permit: LookupPermit) -> io::Result<Vec<IpAddr>> {
        self.names.lock().unwrap().push(name.to_owned());
        let mut next = self.next.lock().unwrap();
        let answer = if next.len() > 1 { next.pop_front() } else { next.front().cloned() };
        answer.ok_or_else(|| io::Error::other("no such name"))
    }
}

/// A sender for development: `http` to loopback addresses, no names.
pub(crate) fn local_sender(limits: Limits) -> HttpSender {
    let urls = Rules { loopback: true, ..Rules::default() };
    HttpSender::new(SenderRules { urls, limits, ..SenderRules::default() }, Answers::new(&[])).unwrap()
}

/// A request of a project to `url`, whatever the rules are.
pub(crate) fn request(url: &str) -> WebhookRequest {
    request_of("acme", url)
}

/// A request of `project` to `url`, whatever the rules are.
pub(crate) fn request_of(project: &str, url: &str) -> WebhookRequest {
    let url: EndpointUrl = serde_json::from_value(json!(url)).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
    let project_id = project.parse().unwrap();
    WebhookRequest { project_id, url, headers, body: Bytes::from_static(BODY) }
}

/// Listens at a free port of 127.0.0.1.
pub(crate) async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Another loopback address than [`V4`]: 127.0.0.2, which Linux has, or else `::1`.
pub(crate) fn other() -> IpAddr {
    let second = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let has_second = std::net::TcpListener::bind((second, 0)).is_ok();
    if has_second { second } else { Ipv6Addr::LOCALHOST.into() }
}

/// Listens at the same free port of [`V4`] and of [`other`].
pub(crate) async fn listen_on_both() -> (TcpListener, TcpListener, u16) {
    loop {
        let (first, port) = listen().await;
        if let Ok(second) = TcpListener::bind((other(), port)).await {
            return (first, second, port);
        }
    }
}

/// Listens at a free port of `open`. At the same port of `closed` nothing listens, as long as the socket exists.
pub(crate) async fn listen_on_one(open: IpAddr, closed: IpAddr) -> (TcpListener, TcpSocket, u16) {
    loop {
        let listener = TcpListener::bind((open, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = if closed.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        if socket.bind((closed, port).into()).is_ok() {
            return (listener, socket, port);
        }
    }
}

pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().await.unwrap().0
}

/// Sends a request to `path` of an endpoint that handles its only connection with `serve`.
pub(crate) async fn exchange_with<T>(
    limits: Limits,
    serve: impl AsyncFnOnce(TcpStream) -> T,
) -> (Exchange, T) {
    let (listener, port) = listen().await;
    let sender = local_sender(limits);
    let sent = sender.send(request(&format!("http://127.0.0.1:{port}/hook")));
    tokio::join!(sent, async { serve(accept(&listener).await).await })
}

/// Reads a request with a body of [`BODY`]'s length.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") || !read.ends_with(BODY) {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "the request ended early");
    }
    String::from_utf8(read).unwrap()
}

/// Reads until the sender closes the connection, in whichever way.
pub(crate) async fn until_closed(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

/// Asserts that nothing has connected to `listener`: the first connection in its queue is our own.
pub(crate) async fn assert_untouched(listener: &TcpListener) {
    let mut address: SocketAddr = listener.local_addr().unwrap();
    if address.ip().is_unspecified() {
        address.set_ip(V4);
    }
    let own = TcpStream::connect(address).await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first.port(), own.local_addr().unwrap().port(), "something has connected to {address}");
}

#[track_caller]
pub(crate) fn answer(exchange: Exchange) -> Answer {
    match exchange.result {
        ExchangeResult::Answer(answer) => answer,
        ExchangeResult::Error(error) => panic!("{error:?}"),
    }
}

#[track_caller]
pub(crate) fn error(exchange: Exchange) -> ExchangeError {
    match exchange.result {
        ExchangeResult::Error(error) => error,
        ExchangeResult::Answer(answer) => panic!("{answer:?}"),
    }
}

#[track_caller]
pub(crate) fn class(exchange: Exchange) -> ErrorClass {
    error(exchange).class
}
