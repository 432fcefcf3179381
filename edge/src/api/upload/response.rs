//! The response bodies of `POST /upload-url`, built from the grant's record.

use std::collections::BTreeMap;

use serde::Serialize;
use streamio_events::event::UploadGranted;
use streamio_events::id::{GrantId, VideoId};
use streamio_events::object_key::SourceKey;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::GRANT_HEADER;

use super::parts::{part_size, parts};
use crate::sign::s3::{BucketSigner, ObjectRequest};
use crate::sign::sigv4::SigningError;

type Headers = BTreeMap<String, String>;

/// Signed headers that no response lists: a browser refuses to set them, and every client sends them without being told.
const IMPLIED_HEADERS: [&str; 2] = ["content-length", "host"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    #[serde(flatten)]
    method: UploadMethod,
    s3_key: SourceKey,
    expires_at: Timestamp,
    video_id: VideoId,
    grant_id: GrantId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", untagged)]
enum UploadMethod {
    Single { upload_url: String, method: &'static str, headers: Headers },
    Multipart { multipart: Multipart },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Multipart {
    upload_id: String,
    part_size: u64,
    parts: Vec<Part>,
    complete_url: String,
    complete_headers: Headers,
    abort_url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(rename = "partNumber")]
    number: u16,
    url: String,
    size: u64,
}

/// One PUT of the whole file.
pub(super) fn single(
    raw: &BucketSigner,
    granted: &UploadGranted,
    only_if_new: bool,
    at: Timestamp,
) -> Result<Body, SigningError> {
    let mut put = ObjectRequest::put(granted.s3_key.as_str()).query(GRANT_HEADER, granted.grant_id.as_str());
    if let Some(content_type) = &granted.content_type {
        put = put.header("content-type", content_type);
    }
    if let Some(size) = granted.size {
        put = put.header("content-length", size.to_string());
    }
    if let Some(sha256) = &granted.sha256 {
        put = put.header("x-amz-checksum-sha256", sha256);
    }
    let put = conditional(put, only_if_new);
    let upload_url = raw.presign(&put, lifetime(granted, at), at.unix_seconds())?.into_string();
    let method = UploadMethod::Single { upload_url, method: "PUT", headers: headers_of(&put) };
    Ok(body(granted, method))
}

/// A PUT per part, with a signed size; then a POST that completes the upload, or a DELETE that aborts it.
pub(super) fn multipart(
    raw: &BucketSigner,
    granted: &UploadGranted,
    only_if_new: bool,
    upload_id: &str,
    at: Timestamp,
) -> Result<Body, SigningError> {
    let key = granted.s3_key.as_str();
    let presign = |request: &ObjectRequest<'_>| {
        raw.presign(request, lifetime(granted, at), at.unix_seconds())
            .map(crate::sign::SignedUrl::into_string)
    };
    let size = granted.size.unwrap_or_default();
    let parts = parts(size)
        .map(|(number, size)| {
            let put =
                ObjectRequest::upload_part(key, upload_id, number).header("content-length", size.to_string());
            Ok(Part { number, url: presign(&put)?, size })
        })
        .collect::<Result<_, SigningError>>()?;
    let complete = conditional(ObjectRequest::complete_multipart_upload(key, upload_id), only_if_new);
    let multipart = Multipart {
        upload_id: upload_id.to_owned(),
        part_size: part_size(size),
        parts,
        complete_url: presign(&complete)?,
        complete_headers: headers_of(&complete),
        abort_url: presign(&ObjectRequest::abort_multipart_upload(key, upload_id))?,
    };
    Ok(body(granted, UploadMethod::Multipart { multipart }))
}

fn body(granted: &UploadGranted, method: UploadMethod) -> Body {
    Body {
        method,
        s3_key: granted.s3_key.clone(),
        expires_at: granted.expires_at,
        video_id: VideoId::of(&granted.s3_key),
        grant_id: granted.grant_id.clone(),
    }
}

fn conditional(request: ObjectRequest<'_>, only_if_new: bool) -> ObjectRequest<'_> {
    if only_if_new { request.header("if-none-match", "*") } else { request }
}

/// The headers that the client has to set.
fn headers_of(request: &ObjectRequest<'_>) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in request.headers() {
        if !IMPLIED_HEADERS.contains(&name) {
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    headers
}

/// Seconds from the grant to its expiry, both in whole seconds.
fn lifetime(granted: &UploadGranted, at: Timestamp) -> u32 {
    u32::try_from(granted.expires_at.unix_seconds() - at.unix_seconds()).unwrap_or(0)
}
