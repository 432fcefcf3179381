//! CORS.

use http::Method;
use serde_json::json;

use crate::session::Session;

const ORIGIN: &str = "https://app.example";

pub(crate) async fn preflights(session: &Session<'_>) {
    for path in ["/upload-url", "/playback-url", "/videos", "/videos/any", "/events", "/healthz"] {
        let response = session
            .call(Method::OPTIONS, path)
            .without_key()
            .header("origin", ORIGIN)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-api-key")
            .send()
            .await
            .expect(204);
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert!(response.header("access-control-allow-headers").unwrap().contains("x-api-key"));
        assert!(response.body.is_empty());
    }
    let nowhere = session.call(Method::OPTIONS, "/nothing").without_key().header("origin", ORIGIN);
    nowhere.header("access-control-request-method", "GET").send().await.expect_problem(404, "no-such-path");
}

pub(crate) async fn readable_responses(session: &Session<'_>) {
    for origin in [ORIGIN, "null", "http://localhost:3000", "no origin"] {
        let response = session.get("/videos?limit=1").header("origin", origin).send().await.expect(200);
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert!(response.header("access-control-expose-headers").unwrap().contains("x-request-id"));
    }
    let refused = session.get("/videos").without_key().header("origin", ORIGIN).send().await;
    let refused = refused.expect_problem(401, "missing-api-key");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    let body = json!({ "filename": "page.mp4" });
    let keys = session.keys();
    let granted = session.post("/upload-url").key(&keys.uploads).header("origin", ORIGIN).json(&body);
    granted.send().await.expect(200);
    let plain = session.get("/healthz").send().await.expect(200);
    assert_eq!(plain.header("access-control-allow-origin"), Some("*"));
    let empty = session.get("/healthz").header("origin", "").send().await.expect(200);
    assert_eq!(empty.header("access-control-allow-origin"), Some("*"));
}

const PLAYLIST: &str = "/play/processed/acme/films/none.mp4.hls/master.m3u8";

/// Players on pages of all origins may read playlists; these are refusals, which they may read too.
pub(crate) async fn players(session: &Session<'_>) {
    let preflight = session.call(Method::OPTIONS, PLAYLIST).without_key().header("origin", ORIGIN);
    let preflight = preflight
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "cmcd-session,range");
    let preflight = preflight.send().await.expect(204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("cmcd-session"));
    for origin in [ORIGIN, "null"] {
        let refused = session.get(PLAYLIST).without_key().header("origin", origin).send().await;
        let refused = refused.expect_problem(403, "playback-refused");
        assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
        assert_eq!(refused.header("access-control-allow-credentials"), None);
    }
}

/// A player that sends cookies to the CDN sends all of its requests with credentials.
pub(crate) async fn players_with_cookies(session: &Session<'_>) {
    for (origin, allowed, credentials) in [
        (ORIGIN, ORIGIN, Some("true")),
        ("http://localhost:3000", "http://localhost:3000", Some("true")),
        ("https://app.example.evil", "*", None),
        ("null", "*", None),
    ] {
        let playlist = session.get(PLAYLIST).without_key().header("origin", origin).send().await;
        let playlist = playlist.expect_problem(403, "playback-refused");
        assert_eq!(playlist.header("access-control-allow-origin"), Some(allowed));
        assert_eq!(playlist.header("access-control-allow-credentials"), credentials);
        assert_eq!(playlist.header("vary"), Some("origin"));
        let file = session.follow(Method::GET, &session.cdn("/a"), &[("origin", origin)], b"").await;
        assert_eq!(file.expect(403).header("access-control-allow-credentials"), credentials);
    }
    let api = session.get("/healthz").header("origin", ORIGIN).send().await.expect(200);
    assert_eq!(api.header("access-control-allow-credentials"), None, "the API uses no cookies");
}

pub(crate) async fn allowed_origins(session: &Session<'_>) {
    for origin in [ORIGIN, "http://localhost:3000"] {
        let response = session.get("/videos?limit=1").header("origin", origin).send().await.expect(200);
        assert_eq!(response.header("access-control-allow-origin"), Some(origin));
        assert_eq!(response.header("vary"), Some("origin"));
        let preflight = session.call(Method::OPTIONS, "/upload-url").without_key().header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST").send().await.expect(204);
        assert_eq!(preflight.header("access-control-allow-origin"), Some(origin));
    }
    let problem = session.get("/nothing").header("origin", ORIGIN).send().await;
    let problem = problem.expect_problem(404, "no-such-path");
    assert_eq!(problem.header("access-control-allow-origin"), Some(ORIGIN));
}

pub(crate) async fn refused_origins(session: &Session<'_>) {
    for origin in ["https://app.example.evil", "http://app.example", "https://APP.example", "null", "*"] {
        let response = session.get("/healthz").header("origin", origin).send().await.expect(200);
        assert_eq!(response.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(response.header("vary"), Some("origin"));
        let preflight = session.call(Method::OPTIONS, "/upload-url").without_key().header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST").send().await.expect(204);
        assert_eq!(preflight.header("access-control-allow-origin"), None, "{origin}");
    }
    // An empty origin is treated as absent.
    let empty = session.call(Method::OPTIONS, "/upload-url").without_key().header("origin", "");
    let empty = empty.header("access-control-request-method", "POST").send().await.expect(204);
    assert_eq!(empty.header("access-control-allow-methods"), None);
    // Also without an origin: a cache must not return that response to a page.
    assert_eq!(session.get("/healthz").send().await.expect(200).header("vary"), Some("origin"));
}
