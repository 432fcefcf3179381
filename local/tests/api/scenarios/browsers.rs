use http::Method;
use serde_json::json;

use crate::session::Session;

const ORIGIN: &str = "https://app.example";

pub(crate) async fn preflights(session: &Session<'_>) {
    for path in ["/upload-url", "/playback-url", "/videos", "/videos/any", "/events", "/healthz"] {
        let answer = session
            .call(Method::OPTIONS, path)
            .without_key()
            .header("origin", ORIGIN)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-api-key")
            .send()
            .await
            .expect(204);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert!(answer.header("access-control-allow-headers").unwrap().contains("x-api-key"));
        assert!(answer.body.is_empty());
    }
    let nowhere = session.call(Method::OPTIONS, "/nothing").without_key().header("origin", ORIGIN);
    nowhere.header("access-control-request-method", "GET").send().await.expect_problem(404, "no-such-path");
}

pub(crate) async fn answers_that_a_page_may_read(session: &Session<'_>) {
    for origin in [ORIGIN, "null", "http://localhost:3000", "no origin"] {
        let answer = session.get("/videos?limit=1").header("origin", origin).send().await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert!(answer.header("access-control-expose-headers").unwrap().contains("x-request-id"));
    }
    let refused = session.get("/videos").without_key().header("origin", ORIGIN).send().await;
    let refused = refused.expect_problem(401, "missing-api-key");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    let body = json!({ "filename": "page.mp4" });
    let keys = session.keys();
    let granted = session.post("/upload-url").key(&keys.uploads).header("origin", ORIGIN).json(&body);
    granted.send().await.expect(200);
    let plain = session.get("/healthz").send().await.expect(200);
    assert_eq!(plain.header("access-control-allow-origin"), None);
    let empty = session.get("/healthz").header("origin", "").send().await.expect(200);
    assert_eq!(empty.header("access-control-allow-origin"), None);
}

pub(crate) async fn origins_that_are_allowed(session: &Session<'_>) {
    for origin in [ORIGIN, "http://localhost:3000"] {
        let answer = session.get("/videos?limit=1").header("origin", origin).send().await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("vary"), Some("origin"));
        let preflight = session.call(Method::OPTIONS, "/upload-url").without_key().header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST").send().await.expect(204);
        assert_eq!(preflight.header("access-control-allow-origin"), Some(origin));
    }
    let problem = session.get("/nothing").header("origin", ORIGIN).send().await;
    let problem = problem.expect_problem(404, "no-such-path");
    assert_eq!(problem.header("access-control-allow-origin"), Some(ORIGIN));
}

pub(crate) async fn origins_that_are_not(session: &Session<'_>) {
    for origin in ["https://app.example.evil", "http://app.example", "https://APP.example", "null", "*"] {
        let answer = session.get("/healthz").header("origin", origin).send().await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(answer.header("vary"), Some("origin"));
        let preflight = session.call(Method::OPTIONS, "/upload-url").without_key().header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST").send().await.expect(204);
        assert_eq!(preflight.header("access-control-allow-origin"), None, "{origin}");
    }
    // An empty one is none.
    let empty = session.call(Method::OPTIONS, "/upload-url").without_key().header("origin", "");
    let empty = empty.header("access-control-request-method", "POST").send().await.expect(204);
    assert_eq!(empty.header("access-control-allow-methods"), None);
    // Without an origin too: a cache must not keep that answer for a page.
    assert_eq!(session.get("/healthz").send().await.expect(200).header("vary"), Some("origin"));
}
