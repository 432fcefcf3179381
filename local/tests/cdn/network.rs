//! The CDN on a real socket.

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
use streamio_local::cdn::{self, BaseUrl, CdnConfig, ObjectFacts, Origin, OriginObject};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::{ManualClock, NOW};
use crate::memory_origin::MemoryOrigin;
use crate::signer::{ANY, cookies, policy, signed, trusted_keys};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
}

impl Server {
    async fn start(origin: impl Origin, adjust: impl FnOnce(CdnConfig) -> CdnConfig) -> Self {
        crate::logging::collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = BaseUrl::parse(&format!("http://{address}")).unwrap();
        let config = adjust(CdnConfig::new(base, trusted_keys()));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        let served =
            tokio::spawn(cdn::serve(listener, origin, config, ManualClock::at_now().for_cdn(), shutdown));
        Self { address, stop, served }
    }

    fn url(&self, path: &str) -> String {
        let policy = policy(&format!("http://{}/*", self.address), NOW + 60, None, Some("127.0.0.1/32"));
        signed(&format!("http://{}/{path}", self.address), &ANY.custom(&policy))
    }

    /// A connection with a request for a path sent, and nothing read.
    async fn request(&self, path: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let url = self.url(path);
        let target = url.strip_prefix(&format!("http://{}", self.address)).unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        connection.write_all(request.as_bytes()).await.unwrap();
        connection
    }

    async fn finish(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }
}

/// Reads up to the end of the head and returns it, with what came of the body.
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
async fn an_ordinary_client_gets_the_object_and_its_parts() {
    let body: Vec<u8> = (0..100_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let server =
        Server::start(MemoryOrigin::default().with("a/b.mp4", "video/mp4", body.clone()), |config| config)
            .await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(server.url("a/b.mp4")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.bytes().await.unwrap(), body);

    let answer = client.get(server.url("a/b.mp4")).header("range", "bytes=500-50499").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(answer.bytes().await.unwrap(), body[500..50_500]);

    let answer = client.head(server.url("a/b.mp4")).send().await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["content-length"]),
        (StatusCode::OK, &HeaderValue::from_static("100000"))
    );

    let url = format!("http://{}/a/b.mp4", server.address);
    let cookie = cookies(&ANY.canned(&url, NOW + 60));
    let answer = client.get(&url).header("cookie", cookie).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(client.head(&url).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    server.finish().await;
}

#[tokio::test]
async fn browsers_may_read_signed_urls_from_every_origin_and_cookies_from_the_listed_ones() {
    let origin = MemoryOrigin::default().with("a", "video/mp4", "bytes");
    let app = HeaderValue::from_static("https://app.example");
    let server = Server::start(origin, |config| config.with_credentialed_origins([app])).await;
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
            let answer =
                client.get(url).header("origin", origin).header("range", "bytes=0-0").send().await.unwrap();
            let header =
                |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_lowercase());
            assert_eq!(header("access-control-allow-origin").as_deref(), Some(origin));
            assert_eq!(header("access-control-allow-credentials").as_deref(), credentials);
            assert!(header("access-control-expose-headers").unwrap().contains("content-range"));
            assert!(header("vary").unwrap().contains("origin"));
        }
    }
    server.finish().await;
}

/// An object of which every piece is asked for by the viewer's progress, and whose reading is observed.
#[derive(Clone)]
struct Observed {
    size: u64,
    /// How many pieces may be read; closed when any number may.
    allowed: Arc<Semaphore>,
    pieces_read: Arc<AtomicU64>,
    /// Told when the reading ends, by the end of the stream or by dropping it.
    ended: mpsc::UnboundedSender<()>,
}

const PIECE: u64 = 64 << 10;

struct TellEnd(mpsc::UnboundedSender<()>);

impl Drop for TellEnd {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.0.send(());
    }
}

impl Observed {
    fn new(size: u64) -> (Self, mpsc::UnboundedReceiver<()>) {
        let (ended, end) = mpsc::unbounded_channel();
        let allowed = Arc::new(Semaphore::new(0));
        (Self { size, allowed, pieces_read: Arc::default(), ended }, end)
    }
}

impl Origin for Observed {
    type Object = Self;

    async fn open(&self, _: &str) -> io::Result<Option<Self>> {
        Ok(Some(self.clone()))
    }
}

impl OriginObject for Observed {
    fn facts(&self) -> ObjectFacts {
        ObjectFacts { size: self.size, etag: "observed".into(), ..ObjectFacts::default() }
    }

    fn into_stream(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let end = TellEnd(self.ended.clone());
        stream::iter(range.step_by(usize::try_from(PIECE).unwrap())).then(move |start| {
            let (this, _end) = (self.clone(), &end);
            let length = usize::try_from(PIECE.min(this.size - start)).unwrap();
            async move {
                // A closed semaphore lets everything through.
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
async fn a_viewer_that_goes_away_ends_the_reading_and_nothing_was_read_far_ahead() {
    let (origin, mut end) = Observed::new(64 << 30);
    origin.allowed.close();
    let pieces_read = Arc::clone(&origin.pieces_read);
    let server = Server::start(origin, |config| config).await;
    let mut connection = server.request("large.mp4").await;
    let (head, _) = read_head(&mut connection).await;
    assert!(head.contains("content-length: 68719476736"), "{head}");
    let mut some = vec![0; 1 << 20];
    connection.read_exact(&mut some).await.unwrap();
    drop(connection);
    end.recv().await.unwrap();
    // Of 64 GiB: what the viewer took, what the sockets hold, and little more.
    assert!(pieces_read.load(Ordering::SeqCst) * PIECE < 64 << 20);
    server.finish().await;
}

#[tokio::test]
async fn a_shutdown_finishes_what_has_begun_and_accepts_nothing_new() {
    let (origin, _end) = Observed::new(3 * PIECE);
    let allowed = Arc::clone(&origin.allowed);
    let server = Server::start(origin, |config| config.with_drain(Duration::MAX)).await;
    allowed.add_permits(1);
    let mut connection = server.request("clip.mp4").await;
    let (_, mut body) = read_head(&mut connection).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    // Answered once, so that it is known to be accepted, and kept alive.
    idle.write_all(b"GET / HTTP/1.1\r\nhost: elsewhere\r\n\r\n").await.unwrap();
    assert!(read_head(&mut idle).await.0.starts_with("HTTP/1.1 421"));

    server.stop.send(()).unwrap();
    // The idle connection ends, with the rest of its answer: the shutdown has begun.
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
    allowed.close();
    connection.read_to_end(&mut body).await.unwrap();
    assert_eq!(body.len() as u64, 3 * PIECE);
    server.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let (origin, mut end) = Observed::new(3 * PIECE);
    origin.allowed.add_permits(1);
    let server = Server::start(origin, |config| config.with_drain(Duration::ZERO)).await;
    let mut connection = server.request("clip.mp4").await;
    let (_, mut body) = read_head(&mut connection).await;
    server.finish().await;
    end.recv().await.unwrap();
    // Cut off: an end or a reset, but not the whole.
    let _ = connection.read_to_end(&mut body).await;
    assert!(body.len() as u64 <= PIECE);
}

/// An origin whose object breaks off.
struct Broken;

impl Origin for Broken {
    type Object = Self;

    fn open(&self, _: &str) -> impl Future<Output = io::Result<Option<Self>>> + Send {
        std::future::ready(Ok(Some(Self)))
    }
}

impl OriginObject for Broken {
    fn facts(&self) -> ObjectFacts {
        ObjectFacts { size: 100, ..ObjectFacts::default() }
    }

    fn into_stream(self, _: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::iter([Ok(Bytes::from_static(b"begun")), Err(io::Error::other("the disk is gone"))])
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let server = Server::start(Broken, |config| config).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(server.url("a")).send().await;
    let broken = match answer {
        Ok(answer) => answer.bytes().await.is_err(),
        Err(_) => true,
    };
    assert!(broken);
    server.finish().await;
}

#[tokio::test]
async fn malformed_requests_are_refused_and_do_no_harm() {
    let server = Server::start(MemoryOrigin::default().with("a", "", "bytes"), |config| config).await;
    let host = server.address;
    for (request, status) in [
        (format!("GET /a HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), "403"),
        ("GET /a HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), "400"),
        ("GET /a HTTP/1.0\r\n\r\n".to_owned(), "400"),
        // What has no slash is read as the host.
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
    server.finish().await;
}
