//! Request bodies: edge cases.

use http::Method;
use serde_json::{Value, json};

use crate::http_client::Framing;
use crate::session::{Call, Session};

const CHUNKED: Framing = Framing { chunked: true, title_case: false };
const MAX_BYTES: usize = 64 * 1024;

fn upload<'a>(session: &'a Session<'_>) -> Call<'a> {
    session.post("/upload-url").key(&session.keys().uploads)
}

pub(crate) async fn empty_and_malformed(session: &Session<'_>) {
    let send = async |body: &'static [u8]| {
        upload(session).header("content-type", "application/json").body(body).send().await
    };
    send(b"").await.expect_problem(422, "invalid-body");
    send(b" ").await.expect_problem(400, "malformed-json");
    send(b"\xef\xbb\xbf{\"filename\":\"a.mp4\"}").await.expect_problem(400, "malformed-json");
    send(b"{\"filename\":\"\xff\"}").await.expect_problem(400, "malformed-json");
    send(b"{\"filename\":\"\xc3\x28\"}").await.expect_problem(400, "malformed-json");
    send(b"\xff\xfe{\0}\0").await.expect_problem(400, "malformed-json");
    send(b"{\"filename\":\"a.mp4\"}\0").await.expect_problem(400, "malformed-json");
    send(b" \t\r\n{\"filename\" : \"a.mp4\"}\r\n\r\n").await.expect(200);
    send(br#"{"filename":"\u0061\u002emp4"}"#).await.expect(200);
    // An empty body is an empty object, regardless of its framing.
    upload(session).framing(CHUNKED).send().await.expect_problem(422, "invalid-body");
    upload(session).header("content-length", "0").send().await.expect_problem(422, "invalid-body");
    session
        .call(Method::GET, "/healthz")
        .header("content-type", "application/json")
        .body("{ this call reads no body")
        .send()
        .await
        .expect(200);
}

pub(crate) async fn sizes_up_to_the_limit_and_beyond(session: &Session<'_>) {
    for framing in [Framing::default(), CHUNKED] {
        for (bytes, accepted) in [(MAX_BYTES, true), (MAX_BYTES + 1, false), (2 * MAX_BYTES, false)] {
            let body = padded(&json!({ "filename": "padded.mp4" }), bytes);
            let call = upload(session).framing(framing).header("content-type", "application/json");
            let response = call.body(body).send().await;
            if accepted {
                response.expect(200);
            } else {
                response.expect_problem(413, "body-too-large");
            }
        }
    }
}

/// `body` padded with spaces to `bytes` bytes.
fn padded(body: &Value, bytes: usize) -> String {
    let mut text = body.to_string();
    text.extend(std::iter::repeat_n(' ', bytes - text.len()));
    text
}

pub(crate) async fn content_types(session: &Session<'_>) {
    let send = async |content_type: &[u8]| {
        let call = upload(session).body(json!({ "filename": "typed.mp4" }).to_string());
        call.header("content-type", content_type).send().await
    };
    for accepted in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=iso-8859-1",
        // Treated as absent.
        "",
    ] {
        send(accepted.as_bytes()).await.expect(200);
    }
    for refused in [
        &b"text/plain"[..],
        b"application/jsonp",
        b"application/problem+json",
        b"*/*",
        b"application/",
        b"application/json\xe9",
        b"application/json, text/plain",
    ] {
        send(refused).await.expect_problem(415, "unsupported-media-type");
    }
    upload(session).body(json!({ "filename": "typed.mp4" }).to_string()).send().await.expect(200);
}
