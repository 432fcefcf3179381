//! Shutting down the server.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::raw::{RawRequest, parse};
use crate::server::{RAW, S3TestServer};
use crate::signer::{Signer, path};

#[tokio::test]
async fn a_shutdown_finishes_requests_in_progress_and_closes_idle_connections() {
    let mut server = S3TestServer::start().await;
    let signed = Signer::default().presign(&server.host(), RawRequest::new("PUT", path(RAW, "k")));
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\nexpect: 100-continue\r\ncontent-length: 8\r\n\r\n",
        signed.target,
        server.host()
    );
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(head.as_bytes()).await.unwrap();
    // The server requests the body, so the request is in progress.
    let mut interim_response = [0; 25];
    busy.read_exact(&mut interim_response).await.unwrap();
    assert!(interim_response.starts_with(b"HTTP/1.1 100"));
    server.begin_shutdown();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    busy.write_all(b"complete").await.unwrap();
    let mut response = Vec::new();
    busy.read_to_end(&mut response).await.unwrap();
    assert_eq!(parse(&response).status, 200);
    server.stop().await;
    assert!(server.exists("k").await);
    assert!(TcpStream::connect(server.address).await.is_err());
}
