//! Multipart uploads: how a file is cut, and the two requests that the edge itself makes about them.

use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use streamio_events::event::RecordedEvent;
use streamio_events::object_key::SourceKey;

use super::request::UploadRequest;
use super::upload_id_of;
use crate::api::Exchange;
use crate::problem::Problem;
use crate::sign::s3::ObjectRequest;
use crate::sign::sigv4::Payload;

// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
/// The most bytes that one PUT may carry: 5 GiB.
pub(super) const MAX_PUT_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// The most bytes that an object may have: 5 TiB.
pub(super) const MAX_OBJECT_BYTES: u64 = 5 * 1024 * 1024 * 1024 * 1024;

/// Parts are not smaller than this, but for the last.
const MIN_PART_BYTES: u64 = 16 * 1024 * 1024;
/// Files are cut into at most this many parts: one URL each makes an answer of about 1 MB. S3 would take 10,000.
const MAX_PARTS: u64 = 2_000;

/// The size of all parts but the last.
pub(super) fn part_size(size: u64) -> u64 {
    size.div_ceil(MAX_PARTS).max(MIN_PART_BYTES)
}

/// The parts of a file: their numbers, from 1, and sizes. A file without bytes is one part without bytes.
pub(super) fn parts(size: u64) -> impl Iterator<Item = (u16, u64)> {
    let part_size = part_size(size);
    let starts = (0..size.max(1)).step_by(usize::try_from(part_size).expect("a part has less than 4 GiB"));
    (1..).zip(starts).map(move |(number, start)| (number, part_size.min(size - start)))
}

/// Begins an upload: `CreateMultipartUpload`. Nothing is stored by it, and an upload that nobody goes on with is
/// removed by the bucket's lifecycle rule.
pub(super) async fn create(exchange: &Exchange<'_>, request: &UploadRequest) -> Result<String, Problem> {
    let mut create = ObjectRequest::create_multipart_upload(request.s3_key.as_str());
    if let Some(content_type) = &request.content_type {
        create = create.header("content-type", content_type);
    }
    let unavailable = |cause| Problem::unavailable("The object store did not begin the upload.", cause);
    let response = send(exchange, &create).await.map_err(unavailable)?;
    upload_id(&response).map_err(unavailable)
}

/// Aborts the upload that was created for this request when the record is another request's: the same request came
/// twice at the same time. Nothing depends on it, so that its failure is nobody's.
pub(super) async fn abort_if_surplus(
    exchange: &Exchange<'_>,
    s3_key: &SourceKey,
    created: &str,
    first: Option<&RecordedEvent>,
) {
    if first.is_some_and(|event| upload_id_of(event) != Some(created)) {
        let _ = send(exchange, &ObjectRequest::abort_multipart_upload(s3_key.as_str(), created)).await;
    }
}

async fn send(
    exchange: &Exchange<'_>,
    request: &ObjectRequest<'_>,
) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
    let now = exchange.context.now.unix_seconds();
    let signed = exchange.edge.raw.sign(request, Payload::Bytes(&[]), now)?;
    let mut outbound = Request::builder().method(signed.method).uri(signed.url).body(Bytes::new())?;
    *outbound.headers_mut() = signed.headers;
    Ok(exchange.edge.ports.outbound.send(outbound).await?)
}

fn upload_id(response: &Response<Bytes>) -> Result<String, Box<dyn Error + Send + Sync>> {
    let text = std::str::from_utf8(response.body())?;
    if !response.status().is_success() {
        // The code says what is wrong; the message may repeat what was signed.
        let code = element(text, "Code")
            .filter(|code| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .unwrap_or("no code");
        return Err(format!("CreateMultipartUpload was answered with {} ({code})", response.status()).into());
    }
    let upload_id = element(text, "UploadId").unwrap_or_default();
    // An id with a reference to a character would be another one; S3's have none.
    if upload_id.is_empty() || !upload_id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'&') {
        return Err("CreateMultipartUpload was answered without a usable upload id".into());
    }
    Ok(upload_id.to_owned())
}

/// What stands in the only element `name` of S3's answer, in which no element has attributes but the first: an XML parser
/// would be a twentieth of the Worker.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (inner, rest) = rest.split_once(&format!("</{name}>"))?;
    (!inner.contains('<') && !rest.contains(&format!("<{name}>"))).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_parts_of_any_file_are_the_file_and_within_the_limits_of_s3(
            size in prop_oneof![0..=MAX_OBJECT_BYTES, 0..=3 * MIN_PART_BYTES, Just(MAX_OBJECT_BYTES), Just(MAX_PUT_BYTES)],
        ) {
            let parts: Vec<(u16, u64)> = parts(size).collect();
            prop_assert_eq!(parts.iter().map(|(_, size)| size).sum::<u64>(), size);
            prop_assert!((1..=2_000).contains(&parts.len()));
            prop_assert!(parts.iter().map(|(number, _)| *number).eq(1..=u16::try_from(parts.len()).unwrap()));
            let (last, others) = parts.split_last().unwrap();
            prop_assert!(others.iter().all(|(_, bytes)| *bytes == part_size(size)));
            prop_assert!(last.1 <= part_size(size) && part_size(size) <= MAX_PUT_BYTES);
            prop_assert!(size == 0 || last.1 > 0);
        }
    }

    fn answer(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn the_upload_id_is_read_from_what_s3_answers() {
        let documented = r#"<?xml version="1.0" encoding="UTF-8"?>
            <InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Bucket>raw</Bucket><Key>projects/acme/a&amp;b.mp4</Key><UploadId>VXBsb2Fk.IEl_E-</UploadId>
            </InitiateMultipartUploadResult>"#;
        assert_eq!(upload_id(&answer(200, documented)).unwrap(), "VXBsb2Fk.IEl_E-");
    }

    #[test]
    fn any_other_answer_is_an_error_that_says_the_code() {
        let denied = "<Error><Code>AccessDenied</Code><Message>signature abc</Message></Error>";
        let message = upload_id(&answer(403, denied)).unwrap_err().to_string();
        assert_eq!(message, "CreateMultipartUpload was answered with 403 Forbidden (AccessDenied)");
        for (status, body) in
            [(200, ""), (200, "<a/>"), (200, "<r><UploadId></UploadId></r>"), (503, ""), (500, "\u{0}")]
        {
            assert!(upload_id(&answer(status, body)).is_err(), "{status} {body:?}");
        }
    }
}
