//! Request paths: edge cases.

use http::Method;

use crate::history::video_id;
use crate::projects::ACME;
use crate::session::Session;

pub(crate) async fn similar_to_a_call(session: &Session<'_>) {
    for path in [
        "/",
        "//",
        "//videos",
        "/videos/",
        "/videos//",
        "/videos//events",
        "/videos///reprocess",
        "/Videos",
        "/videos.json",
        "/videos;v=1",
        "/v1/videos",
        "/openapi.yaml",
        "/healthz/",
        "/problems",
        "/problems/",
        "/problems/invalid-body/",
        "/problems//invalid-body",
        "/favicon.ico",
        "/vidéos",
        "/a|b^c{d}\"e\"",
    ] {
        session.get(path).send().await.expect_problem(404, "no-such-path");
    }
    for path in ["/videos/...", "/videos/*", "/videos/x;y=1", "/videos/@"] {
        session.get(path).send().await.expect_problem(400, "invalid-parameter");
    }
    for path in ["/healthz?", "/healthz?&", "/healthz?&&&"] {
        session.get(path).send().await.expect(200);
    }
    for path in ["/healthz?=", "/healthz?a", "/healthz?a=1&a=2", "/healthz?%", "/healthz?a=%80", "/healthz??"]
    {
        session.get(path).send().await.expect_problem(400, "invalid-parameter");
    }
}

pub(crate) async fn percent_encoded(session: &Session<'_>) {
    // Encoded unreserved characters are decoded in path parameters, but not in the fixed parts of a path.
    let id = video_id(ACME, "ready.mp4").to_string();
    let encoded = format!("/videos/%76id_{}", &id[4..]);
    session.get(&encoded).send().await.expect(200);
    session.get(&format!("/videos/vid%5F{}", &id[4..])).send().await.expect(200);
    session.get(&format!("/videos/vid%5f{}/events?limit=1", &id[4..])).send().await.expect(200);
    for path in
        ["/%76ideos", "/videos%2Fx", "/%2e%2e/videos", "/%2E/videos", "/videos%3Flimit=1", "/%00", "/%"]
    {
        session.get(path).send().await.expect_problem(404, "no-such-path");
    }
    for path in [
        "/videos/%2e%2e",
        "/videos/%2E%2e/events",
        "/videos/%",
        "/videos/%zz",
        "/videos/%00",
        "/videos/%ff",
        "/videos/%C3%A9t%C3%A9",
        "/videos/%252e",
        "/videos/a+b",
        "/videos/%20",
    ] {
        session.get(path).send().await.expect_problem(400, "invalid-parameter");
    }
    for query in ["?limit=%31", "?%6Cimit=1", "?limit=1&", "?&limit=1"] {
        session.get(&format!("/videos{query}")).send().await.expect(200);
    }
    for query in ["?limit=+1", "?limit=1%00", "?limit=%EF%BC%91", "?state=ready%20", "?state=re%61d%79%0A"] {
        session.get(&format!("/videos{query}")).send().await.expect_problem(400, "invalid-parameter");
    }
}

pub(crate) async fn long(session: &Session<'_>) {
    const MAX_BYTES: usize = 8 * 1024;
    let path = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    session.get(&path(MAX_BYTES)).send().await.expect_problem(404, "no-such-path");
    session.get(&path(MAX_BYTES + 1)).send().await.expect_problem(414, "uri-too-long");
    session.get(&path(2 * MAX_BYTES)).send().await.expect_problem(414, "uri-too-long");
    let query = |bytes: usize| format!("/healthz?{}", "&".repeat(bytes - "/healthz?".len()));
    session.get(&query(MAX_BYTES)).send().await.expect(200);
    session.get(&query(MAX_BYTES + 1)).send().await.expect_problem(414, "uri-too-long");
    let segments = "/a".repeat(2000);
    session.get(&segments).send().await.expect_problem(404, "no-such-path");
}

pub(crate) async fn other_methods(session: &Session<'_>) {
    for (method, path) in [
        (Method::GET, "/upload-url"),
        (Method::PUT, "/playback-url"),
        (Method::POST, "/videos"),
        (Method::PUT, "/videos/any"),
        (Method::DELETE, "/videos/any/events"),
        (Method::GET, "/videos/any/reprocess"),
        (Method::DELETE, "/events"),
        (Method::POST, "/healthz"),
        (Method::PUT, "/openapi.json"),
        (Method::HEAD, "/upload-url"),
    ] {
        let response = session.call(method.clone(), path).send().await.expect(405);
        assert!(response.header("allow").is_some_and(|allow| !allow.contains(method.as_str())));
    }
    session.call(Method::PUT, "/nothing").send().await.expect_problem(404, "no-such-path");
}
