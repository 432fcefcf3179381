//! The two requests about multipart uploads that the edge itself sends to S3.

use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use streamio_events::event::UploadGranted;
use streamio_events::id::GrantId;
use streamio_events::video::GRANT_HEADER;

use super::request::UploadRequest;
use crate::api::Exchange;
use crate::problem::Problem;
use crate::sign::s3::ObjectRequest;
use crate::sign::sigv4::Payload;

/// Creates an upload (`CreateMultipartUpload`) whose object will name the grant, and returns its id. It stores no data, and the bucket's lifecycle rule removes
/// uploads that are not continued.
pub(super) async fn create(
    exchange: &Exchange<'_>,
    grant_id: &GrantId,
    request: &UploadRequest,
) -> Result<String, Problem> {
    let mut create = ObjectRequest::create_multipart_upload(request.s3_key.as_str())
        .header(GRANT_HEADER, grant_id.as_str());
    if let Some(content_type) = &request.content_type {
        create = create.header("content-type", content_type);
    }
    let unavailable = |cause| Problem::unavailable("The object store did not create the upload.", cause);
    let response = send(exchange, &create).await.map_err(unavailable)?;
    upload_id(&response).map_err(unavailable)
}

/// Aborts the upload that was created for this request if the grant's `first` record, by a concurrent copy of the same request,
/// has another one. Best effort: errors are ignored, and the bucket's lifecycle rule removes the upload.
pub(super) async fn abort_if_surplus(exchange: &Exchange<'_>, created: &str, first: &UploadGranted) {
    if first.upload_id.as_deref() != Some(created) {
        let s3_key = first.s3_key.as_str();
        let _ = send(exchange, &ObjectRequest::abort_multipart_upload(s3_key, created)).await;
    }
}

async fn send(
    exchange: &Exchange<'_>,
    request: &ObjectRequest<'_>,
) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
    let now = exchange.context.now.unix_seconds();
    let signed = exchange.services.raw.sign(request, Payload::Bytes(&[]), now)?;
    let mut outbound = Request::builder().method(signed.method).uri(signed.url).body(Bytes::new())?;
    *outbound.headers_mut() = signed.headers;
    Ok(exchange.services.ports.outbound.send(outbound).await?)
}

fn upload_id(response: &Response<Bytes>) -> Result<String, Box<dyn Error + Send + Sync>> {
    let text = std::str::from_utf8(response.body())?;
    if !response.status().is_success() {
        // Only the code: the message may quote what was signed.
        let code = element(text, "Code")
            .filter(|code| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .unwrap_or("no code");
        return Err(format!("CreateMultipartUpload failed with {} ({code})", response.status()).into());
    }
    let upload_id = element(text, "UploadId").unwrap_or_default();
    // An id with a character reference would have to be decoded; S3's have none.
    if upload_id.is_empty() || !upload_id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'&') {
        return Err("CreateMultipartUpload returned no usable upload id".into());
    }
    Ok(upload_id.to_owned())
}

/// The text of the only element `name` in S3's response, in which only the first element has attributes. An XML parser would
/// be a twentieth of the Worker's size.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (inner, rest) = rest.split_once(&format!("</{name}>"))?;
    (!inner.contains('<') && !rest.contains(&format!("<{name}>"))).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn the_upload_id_is_read_from_the_response_of_s3() {
        let documented = r#"<?xml version="1.0" encoding="UTF-8"?>
            <InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Bucket>raw</Bucket><Key>projects/acme/a&amp;b.mp4</Key><UploadId>VXBsb2Fk.IEl_E-</UploadId>
            </InitiateMultipartUploadResult>"#;
        assert_eq!(upload_id(&response(200, documented)).unwrap(), "VXBsb2Fk.IEl_E-");
    }

    #[test]
    fn any_other_response_is_an_error_with_the_code() {
        let denied = "<Error><Code>AccessDenied</Code><Message>signature abc</Message></Error>";
        let message = upload_id(&response(403, denied)).unwrap_err().to_string();
        assert_eq!(message, "CreateMultipartUpload failed with 403 Forbidden (AccessDenied)");
        for (status, body) in
            [(200, ""), (200, "<a/>"), (200, "<r><UploadId></UploadId></r>"), (503, ""), (500, "\u{0}")]
        {
            assert!(upload_id(&response(status, body)).is_err(), "{status} {body:?}");
        }
    }
}
