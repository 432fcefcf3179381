//! Request headers: edge cases.

use std::fmt::Write as _;

use http::Method;
use serde_json::json;

use crate::http_client::Framing;
use crate::session::Session;

pub(crate) async fn api_keys(session: &Session<'_>) {
    let table = &session.keys().table;
    let keys = [
        (&table.admin, 200, ""),
        (&table.read, 200, ""),
        (&table.upload, 403, "missing-scope"),
        (&table.playback, 403, "missing-scope"),
        (&table.expired, 401, "expired-api-key"),
        (&table.revoked, 401, "revoked-api-key"),
        (&table.suspended, 403, "suspended-project"),
    ];
    for (key, status, problem) in keys {
        let response = session.get("/videos?limit=1").key(key).send().await;
        if status == 200 {
            response.expect(200);
        } else {
            response.expect_problem(status, problem);
        }
    }
    // The same key twice is not accepted.
    let twice = session.get("/videos").header("x-api-key", table.admin.reveal()).send().await;
    twice.expect_problem(401, "malformed-api-key");
    let in_one = format!("{0}, {0}", table.admin.reveal());
    let in_one = session.get("/videos").without_key().header("x-api-key", in_one).send().await;
    in_one.expect_problem(401, "malformed-api-key");
    let quoted = format!("\"{}\"", table.read.reveal());
    let quoted = session.get("/videos").without_key().header("x-api-key", quoted).send().await;
    quoted.expect_problem(401, "malformed-api-key");
    // A call that needs no key ignores one.
    session.get("/healthz").without_key().header("x-api-key", "letmein").send().await.expect(200);
}

/// A client that puts its key into a path gets an ordinary refusal. That the key is in no log, in whichever form, is checked after
/// all scenarios.
pub(crate) async fn api_keys_in_paths(session: &Session<'_>) {
    let key = session.keys().acme.reveal();
    let mut encoded = String::new();
    for byte in key.bytes() {
        write!(encoded, "%{byte:02X}").unwrap();
    }
    let in_part = key.replacen("sio", "%73io", 1);
    let twice = in_part.replacen('%', "%25", 1);
    // All of it but its first letters, which the texts have in other forms.
    session.keep_secret(&key["sio".len()..]);
    session.keep_secret(&encoded["%73%69%6F".len()..]);
    for text in [key, &encoded, &in_part, &twice] {
        session.get(&format!("/{text}")).send_unrecorded().await.expect(404);
        session.get(&format!("/v1/{text}/videos")).send_unrecorded().await.expect(404);
        session.get(&format!("/videos/{text}")).send_unrecorded().await.expect(400);
        session.get(&format!("/videos/{text}/events")).send_unrecorded().await.expect(400);
        session.call(Method::PUT, &format!("/problems/{text}")).send_unrecorded().await.expect(405);
        session.get(&format!("/problems/{text}")).send_unrecorded().await.expect(404);
        session.get(&format!("/play/processed/{text}/a.m3u8")).send_unrecorded().await.expect(400);
        session.get(&format!("/play/processed/acme/{text}.m3u8")).send_unrecorded().await.expect(403);
        for url in [session.cdn(&format!("/processed/acme/{text}")), session.store(&format!("/raw/{text}"))] {
            for url in [url.clone(), format!("{url}?Signature=wrong")] {
                let refused = session.follow_unrecorded(&url).await;
                assert!(matches!(refused.status.as_u16(), 400 | 403), "{refused:?}");
            }
        }
    }
}

pub(crate) async fn bearer_tokens(session: &Session<'_>) {
    let table = &session.keys().table;
    let get = |value: &str| session.get("/videos?limit=1").without_key().header("authorization", value);
    let admin = table.admin.reveal();
    for accepted in [format!("Bearer {admin}"), format!("bearer  {admin}"), format!("BEARER {admin}")] {
        get(&accepted).send().await.expect(200);
    }
    let bearer = |key: &streamio_events::api_key::ApiKey| format!("Bearer {}", key.reveal());
    get(&bearer(&table.upload)).send().await.expect_problem(403, "missing-scope");
    let revoked = get(&bearer(&table.revoked)).send().await.expect_problem(401, "revoked-api-key");
    assert_eq!(revoked.text("/field"), "authorization");
    let challenge = revoked.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer realm="), "{challenge}");
    get(&bearer(&table.admin)).key(&table.admin).send().await.expect(200);
    let different = get(&bearer(&table.read)).key(&table.admin).send().await;
    assert_eq!(different.expect_problem(400, "invalid-parameter").text("/field"), "authorization");
}

pub(crate) async fn request_ids(session: &Session<'_>) {
    let longest = "a".repeat(128);
    for kept in ["trace-1.A_b", "0", &longest] {
        let response = session.get("/healthz").header("x-request-id", kept).send().await.expect(200);
        assert_eq!(response.header("x-request-id"), Some(kept));
    }
    let too_long = "a".repeat(129);
    let secret = session.keys().acme.reveal();
    for replaced in ["", "a b", "a/b", "a\"b", "é", &too_long, secret] {
        let response =
            session.get("/videos?limit=1").header("x-request-id", replaced).send().await.expect(200);
        assert!(response.header("x-request-id").unwrap().starts_with("req_"));
    }
    let latin1 = session.get("/healthz").header("x-request-id", b"caf\xe9").send().await.expect(200);
    assert!(latin1.header("x-request-id").unwrap().starts_with("req_"));
    let generated = session.get("/nothing").send().await.expect_problem(404, "no-such-path");
    assert_eq!(generated.header("x-request-id"), Some(&*generated.text("/requestId")));
    let own = session.get("/nothing").header("x-request-id", "mine-1").send().await;
    assert_eq!(own.expect_problem(404, "no-such-path").text("/requestId"), "mine-1");
}

pub(crate) async fn idempotency_keys(session: &Session<'_>) {
    let keys = session.keys();
    let send = async |values: &[&[u8]]| {
        let mut call = session.post("/upload-url").key(&keys.uploads);
        for value in values {
            call = call.header("idempotency-key", value);
        }
        call.json(&json!({ "filename": "keyed.mp4" })).send().await
    };
    let longest = [b'k'; 255];
    let too_long = [b'k'; 256];
    for accepted in [&b"k"[..], b"8e03978e-40d5-43e8-bc93-6894a57f9324", b"\"quoted\"", b"a,b", &longest] {
        send(&[accepted]).await.expect(200);
    }
    for refused in [&b""[..], b"a b", b"caf\xe9", "clé".as_bytes(), &too_long] {
        send(&[refused]).await.expect_problem(400, "invalid-parameter");
    }
}

pub(crate) async fn names_in_capitals(session: &Session<'_>) {
    let framing = Framing { title_case: true, chunked: false };
    let keys = session.keys();
    let call = session.post("/upload-url").key(&keys.uploads).header("x-request-id", "capitals");
    let call = call.header("idempotency-key", "capitals").json(&json!({ "filename": "capitals.mp4" }));
    let response = call.framing(framing).send().await.expect(200);
    assert_eq!(response.header("x-request-id"), Some("capitals"));
}

pub(crate) async fn non_ascii_bytes(session: &Session<'_>) {
    for bytes in [&b"caf\xe9"[..], b"\xff", "clé".as_bytes()] {
        let call = session.get("/videos").without_key().header("x-api-key", bytes);
        call.send().await.expect_problem(401, "malformed-api-key");
        session.get("/healthz").header("origin", bytes).send().await.expect(200);
        session.get("/healthz").header("x-unknown", bytes).send().await.expect(200);
    }
}

/// A server may join headers of one name with commas (RFC 9110, section 5.3), so the response must be the same with and
/// without joining.
pub(crate) async fn sent_twice(session: &Session<'_>) {
    let keys = session.keys();
    for (name, one, other) in [
        ("x-api-key", "one", "other"),
        ("idempotency-key", "one", "other"),
        ("idempotency-key", "same", "same"),
        ("x-request-id", "one", "other"),
        ("content-type", "application/json", "application/json"),
        ("content-type", "application/json", "text/plain"),
        ("origin", "https://app.example", "https://other.example"),
    ] {
        let call = session.post("/upload-url").key(&keys.uploads).header(name, one).header(name, other);
        call.body(r#"{"filename":"twice.mp4"}"#).send().await;
    }
}

/// Headers that the API does not use.
pub(crate) async fn unused_headers(session: &Session<'_>) {
    for (name, value) in [
        ("accept", "text/html"),
        ("accept-encoding", "br, gzip"),
        ("authorization", "Basic dXNlcjpwYXNzd29yZA=="),
        ("cache-control", "only-if-cached"),
        ("cf-connecting-ip", "203.0.113.7"),
        ("cookie", "session=1"),
        ("if-modified-since", "Fri, 02 Jan 2099 03:04:05 GMT"),
        ("if-none-match", "*"),
        ("range", "bytes=0-1"),
        ("referer", "https://app.example/"),
        ("x-forwarded-host", "evil.example"),
        ("x-http-method-override", "DELETE"),
    ] {
        session.get("/openapi.json").without_key().header(name, value).send_unrecorded().await.expect(200);
        session.get("/videos?limit=1").header(name, value).send().await.expect(200);
        session.get("/videos?limit=0").header(name, value).send().await.expect(400);
    }
    let encoded = session.post("/upload-url").key(&session.keys().uploads).header("content-encoding", "gzip");
    encoded.json(&json!({ "filename": "no-gzip.mp4" })).send().await.expect(200);
}
