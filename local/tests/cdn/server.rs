//! The CDN on a TCP listener.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use http::{HeaderValue, StatusCode};
use streamio_local::cdn::{self, BaseUrl, CdnConfig, ObjectMetadata, Origin, OriginObject};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::{ManualClock, NOW};
use crate::memory_origin::MemoryOrigin;
use crate::signer::{ANY, cookies, policy, signed, trusted_keys};

/// A running CDN. Every test must stop it: dropping it while it is running fails the test.
struct CdnServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<io::Result<()>>,
}

impl Drop for CdnServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.task.is_finished(), "the CDN is still running");
        }
    }
}

impl CdnServer {
    async fn start(origin: impl Origin, adjust: impl FnOnce(CdnConfig) -> CdnConfig) -> Self {
        crate::log::collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = BaseUrl::parse(&format!("http://{address}")).unwrap();
        let config = adjust(CdnConfig::new(base, trusted_keys()));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        let task =
            tokio::spawn(cdn::serve(listener, origin, config, ManualClock::at_now().for_cdn(), shutdown));
        Self { address, stop: Some(stop), task }
    }

    fn url(&self, path: &str) -> String {
        let policy = policy(&format!("http://{}/*", self.address), NOW + 60, None, Some("127.0.0.1/32"));
        signed(&format!("http://{}/{path}", self.address), &ANY.custom(&policy))
    }

    /// Opens a connection and sends a request; nothing is read.
    async fn request(&self, path: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let url = self.url(path);
        let target = url.strip_prefix(&format!("http://{}", self.address)).unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        connection.write_all(request.as_bytes()).await.unwrap();
        connection
    }

    fn begin_shutdown(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    async fn stop(mut self) {
        self.begin_shutdown();
        self.wait_until_stopped().await;
    }

    async fn wait_until_stopped(mut self) {
        (&mut self.task).await.unwrap().unwrap();
    }
}

/// Reads to the end of the head. Returns the head and the part of the body that was received with it.
async fn read_head(connection: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).unwrap(), body);
        }
        assert_ne!(connection.read_buf(&mut bytes).await.unwrap(), 0, "the head is incomplete");
    }
}

#[tokio::test]
async fn a_client_can_read_an_object_and_ranges_of_it() {
    let body: Vec<u8> = (0..100_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let server =
        CdnServer::start(MemoryOrigin::default().with("a/b.mp4", "video/mp4", body.clone()), |config| config)
            .await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(server.url("a/b.mp4")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.bytes().await.unwrap(), body);

    let response = client.get(server.url("a/b.mp4")).header("range", "bytes=500-50499").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.bytes().await.unwrap(), body[500..50_500]);

    let response = client.head(server.url("a/b.mp4")).send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-length"]),
        (StatusCode::OK, &HeaderValue::from_static("100000"))
    );

    let url = format!("http://{}/a/b.mp4", server.address);
    let cookie = cookies(&ANY.canned(&url, NOW + 60));
    let response = client.get(&url).header("cookie", cookie).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(client.head(&url).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    server.stop().await;
}

#[tokio::test]
async fn scripts_of_all_origins_may_read_signed_urls_and_those_of_listed_origins_also_cookies() {
    let origin = MemoryOrigin::default().with("a", "video/mp4", "bytes");
    let app = HeaderValue::from_static("https://app.example");
    let server = CdnServer::start(origin, |config| config.with_credentialed_origins([app])).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();

    for (origin, credentials) in
        [("https://app.example", Some("true")), ("https://other.example", None), ("null", None)]
    {
        let preflight = client
            .request(reqwest::Method::OPTIONS, format!("http://{}/a", server.address))
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "range")
            .send()
            .await
            .unwrap();
        assert!(preflight.status().is_success());
        let header = |name: &str| preflight.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("access-control-allow-origin"), Some(origin));
        assert_eq!(header("access-control-allow-methods"), Some("GET,HEAD,OPTIONS"));
        assert_eq!(header("access-control-allow-headers"), Some("range"));
        assert_eq!(header("access-control-allow-credentials"), credentials);

        for url in [server.url("a"), format!("http://{}/a", server.address)] {
            let response =
                client.get(url).header("origin", origin).header("range", "bytes=0-0").send().await.unwrap();
            let header =
                |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_lowercase());
            assert_eq!(header("access-control-allow-origin").as_deref(), Some(origin));
            assert_eq!(header("access-control-allow-credentials").as_deref(), credentials);
            assert!(header("access-control-expose-headers").unwrap().contains("content-range"));
            assert!(header("vary").unwrap().contains("origin"));
        }
    }
    server.stop().await;
}

/// An object that counts the pieces that are read and reports when reading ends.
#[derive(Clone)]
struct ObservedObject {
    size: u64,
    /// The number of pieces that may be read; closed for no limit.
    allowed: Arc<Semaphore>,
    pieces_read: Arc<AtomicU64>,
    /// Receives a message when the stream ends or is dropped.
    ended: mpsc::UnboundedSender<()>,
}

const PIECE: u64 = 64 << 10;

struct SendOnDrop(mpsc::UnboundedSender<()>);

impl Drop for SendOnDrop {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.send(());
    }
}

impl ObservedObject {
    fn new(size: u64) -> (Self, mpsc::UnboundedReceiver<()>) {
        let (ended, end) = mpsc::unbounded_channel();
        let allowed = Arc::new(Semaphore::new(0));
        (Self { size, allowed, pieces_read: Arc::default(), ended }, end)
    }
}

impl Origin for ObservedObject {
    type Object = Self;

    async fn open(&self, _: &str) -> io::Result<Option<Self>> {
        Ok(Some(self.clone()))
    }
}

impl OriginObject for ObservedObject {
    fn metadata(&self) -> ObjectMetadata {
        ObjectMetadata { size: self.size, etag: "observed".into(), ..ObjectMetadata::default() }
    }

    fn into_stream(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let end = SendOnDrop(self.ended.clone());
        stream::iter(range.step_by(usize::try_from(PIECE).unwrap())).then(move |start| {
            let (this, _end) = (self.clone(), &end);
            let length = usize::try_from(PIECE.min(this.size - start)).unwrap();
            async move {
                // A closed semaphore does not limit the pieces.
                if let Ok(permit) = this.allowed.acquire().await {
                    permit.forget();
                }
                this.pieces_read.fetch_add(1, Ordering::SeqCst);
                Ok(vec![1; length].into())
            }
        })
    }
}

#[tokio::test]
async fn reading_ends_when_the_viewer_disconnects_and_does_not_run_far_ahead() {
    let (origin, mut end) = ObservedObject::new(64 << 30);
    origin.allowed.close();
    let pieces_read = Arc::clone(&origin.pieces_read);
    let server = CdnServer::start(origin, |config| config).await;
    let mut connection = server.request("large.mp4").await;
    let (head, _) = read_head(&mut connection).await;
    assert!(head.contains("content-length: 68719476736"), "{head}");
    let mut start = vec![0; 1 << 20];
    connection.read_exact(&mut start).await.unwrap();
    drop(connection);
    end.recv().await.unwrap();
    // Of 64 GiB only what the viewer read, the socket buffers, and a little more.
    assert!(pieces_read.load(Ordering::SeqCst) * PIECE < 64 << 20);
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_finishes_requests_in_progress_and_accepts_no_connection() {
    let (origin, _end) = ObservedObject::new(3 * PIECE);
    let allowed = Arc::clone(&origin.allowed);
    let mut server = CdnServer::start(origin, |config| config.with_drain(Duration::MAX)).await;
    allowed.add_permits(1);
    let mut connection = server.request("clip.mp4").await;
    let (_, mut body) = read_head(&mut connection).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    // One request, so that the connection is known to be accepted; it is kept alive.
    idle.write_all(b"GET / HTTP/1.1\r\nhost: elsewhere\r\n\r\n").await.unwrap();
    assert!(read_head(&mut idle).await.0.starts_with("HTTP/1.1 421"));

    server.begin_shutdown();
    // The idle connection is closed, so the shutdown has started.
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
    allowed.close();
    connection.read_to_end(&mut body).await.unwrap();
    assert_eq!(body.len() as u64, 3 * PIECE);
    server.wait_until_stopped().await;
}

#[tokio::test]
async fn a_shutdown_cuts_off_requests_after_the_drain_time() {
    let (origin, mut end) = ObservedObject::new(3 * PIECE);
    origin.allowed.add_permits(1);
    let server = CdnServer::start(origin, |config| config.with_drain(Duration::ZERO)).await;
    let mut connection = server.request("clip.mp4").await;
    let (_, mut body) = read_head(&mut connection).await;
    server.stop().await;
    end.recv().await.unwrap();
    // Cut off: the connection is closed or reset before the end.
    let _ = connection.read_to_end(&mut body).await;
    assert!(body.len() as u64 <= PIECE);
}

/// An origin whose object fails while it is read.
struct FailingObject;

impl Origin for FailingObject {
    type Object = Self;

    fn open(&self, _: &str) -> impl Future<Output = io::Result<Option<Self>>> + Send {
        std::future::ready(Ok(Some(Self)))
    }
}

impl OriginObject for FailingObject {
    fn metadata(&self) -> ObjectMetadata {
        ObjectMetadata { size: 100, ..ObjectMetadata::default() }
    }

    fn into_stream(self, _: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::iter([Ok(Bytes::from_static(b"start")), Err(io::Error::other("disk failure"))])
    }
}

#[tokio::test]
async fn a_response_that_is_cut_off_is_not_complete() {
    let server = CdnServer::start(FailingObject, |config| config).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(server.url("a")).send().await;
    let failed = match response {
        Ok(response) => response.bytes().await.is_err(),
        Err(_) => true,
    };
    assert!(failed);
    server.stop().await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let server = CdnServer::start(MemoryOrigin::default().with("a", "", "bytes"), |config| config).await;
    let host = server.address;
    for (request, status) in [
        (format!("GET /a HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), "403"),
        ("GET /a HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), "400"),
        ("GET /a HTTP/1.0\r\n\r\n".to_owned(), "400"),
        // A target without a slash is parsed as the host.
        (format!("GET a HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), "421"),
        (format!("GET /%zz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), "400"),
        (format!("GET http://elsewhere/a HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), "421"),
        (
            format!("PUT /a HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc"),
            "405",
        ),
        ("OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "200"),
    ] {
        let mut connection = TcpStream::connect(host).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let (head, _) = read_head(&mut connection).await;
        assert!(head.starts_with("HTTP/1.") && head[9..].starts_with(status), "{request:?}: {head}");
    }
    server.stop().await;
}
