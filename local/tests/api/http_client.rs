//! Sends requests as they are: a client library would normalize paths and headers.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How a request is written on the wire, for targets with a network. An extension of the request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Framing {
    /// The body is sent in chunks, without a `content-length`.
    pub(crate) chunked: bool,
    /// Header names are written `Like-This`.
    pub(crate) title_case: bool,
}

/// Sends `request`, whose target is a path and query, to `authority`.
pub(crate) async fn send(authority: &str, mut request: Request<Bytes>) -> Response<Bytes> {
    let framing = request.extensions().get::<Framing>().copied().unwrap_or_default();
    let stream = TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .title_case_headers(framing.title_case)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    request.headers_mut().insert("host", HeaderValue::from_str(authority).unwrap());
    let response = sender.send_request(request.map(|body| framed(framing, body))).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    Response::from_parts(head, body)
}

fn framed(framing: Framing, body: Bytes) -> BoxBody<Bytes, Infallible> {
    if !framing.chunked {
        return Full::new(body).boxed();
    }
    let chunks: Vec<_> =
        body.chunks(7000).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
    BodyExt::boxed(StreamBody::new(stream::iter(chunks)))
}
