//! The platform in the test process: its data directory, and the views that are rebuilt from its log.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use streamio_local::data_dir::DataDirError;
use streamio_local::operator::{Missing, Operator};
use streamio_local::platform::{Config, EdgeFront, LogFormat, Platform};
use tokio::net::TcpStream;

fn config(directory: &std::path::Path) -> Config {
    Config {
        data_dir: directory.to_owned(),
        port: 0,
        concurrency: Some(1),
        allowed_origins: vec![],
        rate_limit: None,
        // These tests never need a worker.
        worker_command: vec!["false".into()],
        edge: EdgeFront::Native,
        log_format: LogFormat::Text,
    }
}

/// Sends a request as it is: a client library would normalize its path and headers.
async fn send(authority: &str, mut request: Request<Bytes>) -> Response<Bytes> {
    let stream = TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    request.headers_mut().insert("host", authority.parse().unwrap());
    let response = sender.send_request(request.map(Full::new)).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    Response::from_parts(head, body)
}

#[tokio::test]
async fn a_second_platform_on_the_same_directory_is_refused_and_a_restart_keeps_the_ports() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(config(directory.path())).await.unwrap();
    let addresses = platform.addresses().clone();
    let second = Platform::start(config(directory.path())).await.err().unwrap();
    assert!(matches!(second.downcast_ref(), Some(DataDirError::InUse(_))), "{second}");
    platform.run_until(async {}).await;
    let again = Platform::start(config(directory.path())).await.unwrap();
    assert_eq!(again.addresses(), &addresses);
    again.run_until(async {}).await;
}

#[tokio::test]
async fn deleted_views_are_rebuilt_from_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(config(directory.path())).await.unwrap();
    let operator = Operator::open(directory.path(), Missing::Refuse).unwrap();
    let key = operator.create_project(&"acme".parse().unwrap(), None).await.unwrap().api_key;
    let authority = platform.addresses().api.strip_prefix("http://").unwrap().to_owned();
    let call = async |method: &str, path: &str, body: &'static [u8]| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", key.reveal());
        send(&authority, request.body(Bytes::from_static(body)).unwrap()).await
    };
    let granted = call("POST", "/upload-url", br#"{"filename":"clip.mp4"}"#).await;
    assert_eq!(granted.status(), 200, "{:?}", granted.body());
    let listed = loop {
        let listed = call("GET", "/videos", b"").await.into_body();
        if listed.windows(4).any(|four| four == b"vid_") {
            break listed;
        }
    };
    platform.run_until(async {}).await;
    for file in ["views.db", "views.db-wal", "views.db-shm"] {
        let _ = std::fs::remove_file(directory.path().join(file));
    }
    let platform = Platform::start(config(directory.path())).await.unwrap();
    assert_eq!(call("GET", "/videos", b"").await.into_body(), listed, "byte for byte");
    platform.run_until(async {}).await;
}
