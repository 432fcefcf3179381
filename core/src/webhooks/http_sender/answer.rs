//! Sends a request over a connection and reads the answer.

use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use futures::future::{Either, select};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use streamio_events::webhook::exchange::{ErrorClass, ExchangeError};
use tokio::io::{AsyncRead, AsyncWrite};

use super::head_limit::{HeadLimit, NoFinalAnswer};
use super::{Head, Progress, retry_after, tls};

/// The maximum size of an answer's head, in bytes.
const MAX_HEAD: usize = 32 * 1024;

/// How much of an answer's body is read, in bytes. More is read than is recorded, so that a server which sends an ordinary page finishes
/// normally.
const MAX_BODY: usize = 64 * 1024;

/// Sends `request` over `stream` and reads the answer into `progress`: the head, and then the body to its end or its limit.
pub(super) async fn read<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    progress: &mut Progress,
) -> Result<(), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (stream, has_head) = HeadLimit::new(stream);
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| no_answer(&error))?;
    let answer = pin!(async {
        let answer = sender.send_request(request).await.map_err(|error| no_answer(&error))?;
        has_head.store(true, Ordering::Relaxed);
        progress.head = Some(Head {
            status: answer.status().as_u16(),
            retry_after_seconds: retry_after::seconds(answer.headers(), SystemTime::now()),
        });
        let mut body = answer.into_body();
        while progress.body.len() < MAX_BODY
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Some(data) = frame.data_ref() {
                progress.body.extend_from_slice(data);
            }
        }
        Ok(())
    });
    // The connection is driven here and not in a task of its own, so that it ends with the exchange.
    match select(answer, pin!(connection)).await {
        Either::Left((result, _)) => result,
        Either::Right((_, answer)) => answer.await,
    }
}

/// Why there is no answer.
fn no_answer(error: &hyper::Error) -> ExchangeError {
    tracing::debug!(error = error as &dyn std::error::Error, "no answer");
    if let Some(failure) = of_tls(error) {
        return failure;
    }
    let (class, message) = if has_no_final_answer(error) {
        (
            ErrorClass::AnswerTooLarge,
            "the endpoint sent more than 64 KiB of interim answers (1xx); send the answer instead",
        )
    } else if error.is_parse_too_large() {
        (
            ErrorClass::AnswerTooLarge,
            "the head of the answer is larger than 32 KiB or has more than 100 headers; send less",
        )
    } else if error.is_parse() {
        (
            ErrorClass::InvalidAnswer,
            "the answer is not valid HTTP/1.1; check that the URL leads to a web server",
        )
    } else {
        (ErrorClass::ConnectionReset, "the endpoint closed the connection before it answered; check its log")
    };
    ExchangeError::new(class, message)
}

fn has_no_final_answer(error: &hyper::Error) -> bool {
    let error = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match error.and_then(io::Error::get_ref) {
        Some(inner) => inner.is::<NoFinalAnswer>(),
        None => false,
    }
}

/// With TLS 1.3 the server refuses a client only after the handshake.
fn of_tls(error: &hyper::Error) -> Option<ExchangeError> {
    tls::of_tls(error.source()?.downcast_ref::<io::Error>()?).map(tls::failure)
}
