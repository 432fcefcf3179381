//! Responses of the object store and of the CDN to the API.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use serde_json::Value;
use streamio_edge::config::AllowedOrigins;

use crate::api::Api;
use crate::text;

static API: LazyLock<Api> =
    LazyLock::new(|| Api::new(AllowedOrigins::Any).expect("the configuration is valid"));

/// Every response of the object store leads to an upload with its id or to an error that repeats nothing of it, and every response of
/// the CDN to a playlist or an error. The first line is a status, the rest a body.
pub fn check(data: &[u8]) {
    let ([status], body) = text::lines(data);
    let status =
        u16::try_from(text::number(status)).ok().filter(|status| (200..600).contains(status)).unwrap_or(200);
    let respond = || {
        let mut response = Response::new(Bytes::copy_from_slice(body));
        *response.status_mut() = status.try_into().expect("it is a status");
        response
    };
    check_upload(&API.handle(&upload(), respond()), status, body);
    let played = API.handle(&play(), respond());
    if played.status().is_success() {
        assert!(body.starts_with(b"#EXTM3U") && played.body().starts_with(b"#EXTM3U"));
    }
}

/// A request for an upload in parts, of which the first call creates an upload at the object store.
fn upload() -> Request<Bytes> {
    let body = r#"{"filename":"a.mp4","size":20000000,"multipart":{"partSize":10000000}}"#;
    let mut request =
        Request::post("/upload-url").body(Bytes::from_static(body.as_bytes())).expect("it is valid");
    let key = HeaderValue::from_str(API.key.reveal()).expect("a key is ASCII");
    request.headers_mut().insert("x-api-key", key);
    request
}

fn play() -> Request<Bytes> {
    let target = "/play/processed/acme/a.mp4.hls/master.m3u8?Policy=p&Signature=s&Key-Pair-Id=K";
    Request::get(target).body(Bytes::new()).expect("it is valid")
}

fn check_upload(response: &Response<Bytes>, status: u16, body: &[u8]) {
    let value: Value = serde_json::from_slice(response.body()).expect("it is JSON");
    if let Some(id) =
        value.pointer("/multipart/uploadId").or_else(|| value.get("uploadId")).and_then(Value::as_str)
    {
        assert!((200..300).contains(&status));
        let element = format!("<UploadId>{id}</UploadId>");
        assert!(body.windows(element.len()).any(|part| part == element.as_bytes()), "{id:?}");
    } else {
        assert!(!response.status().is_success(), "{value}");
        assert!(value.get("type").is_some(), "{value}");
    }
}
