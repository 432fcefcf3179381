//! Stopping the server.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::raw::{RawRequest, parse};
use crate::server::{RAW, Server};
use crate::signer::{Signer, path};

#[tokio::test]
async fn a_request_in_progress_is_finished_and_idle_connections_are_closed() {
    let mut server = Server::start().await;
    let signed = Signer::default().presign(&server.host(), RawRequest::new("PUT", path(RAW, "k")));
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\nexpect: 100-continue\r\ncontent-length: 8\r\n\r\n",
        signed.target,
        server.host()
    );
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request is in progress.
    let mut asked = [0; 25];
    busy.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100"));
    server.shutdown.cancel();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    busy.write_all(b"complete").await.unwrap();
    let mut answer = Vec::new();
    busy.read_to_end(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).status, 200);
    (&mut server.task).await.unwrap();
    assert!(server.exists("k").await);
    assert!(TcpStream::connect(server.address).await.is_err());
}
