//! Health, the API description, the problem pages, HEAD and OPTIONS.

use http::Method;

use streamio_edge::problem::ProblemKind;

use crate::history::video_id;
use crate::projects::ACME;
use crate::session::Session;

pub(crate) async fn health_and_description(session: &Session<'_>) {
    session.get("/healthz").without_key().send().await.expect(200);
    let description = session.get("/openapi.json").without_key().send().await.expect(200);
    assert!(description.text("/openapi").starts_with("3.1"));
    assert_eq!(description.header("cache-control"), Some("public, max-age=300"));
}

pub(crate) async fn problems_explained(session: &Session<'_>) {
    for kind in ProblemKind::ALL {
        session.get(&kind.uri()).without_key().send().await.expect(200);
    }
    session.get("/problems/Invalid-Body").send().await.expect_problem(404, "no-such-path");
    session.get("/problems/invalid%2Dbody").send().await;
}

pub(crate) async fn head_is_get_without_its_body(session: &Session<'_>) {
    let id = video_id(ACME, "ready.mp4");
    for path in [
        "/videos?limit=2",
        &format!("/videos/{id}"),
        &format!("/videos/{id}/events"),
        "/events?limit=5",
        "/openapi.json",
        "/healthz",
        "/problems/invalid-body",
        "/nothing",
        "/videos/any",
    ] {
        let get = session.get(path).header("x-request-id", "head").send().await;
        let head = session.call(Method::HEAD, path).header("x-request-id", "head").send().await;
        assert_eq!(head.status, get.status);
        assert_eq!(head.header("content-length"), Some(&*get.body.len().to_string()), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert!(head.body.is_empty());
    }
    session.call(Method::HEAD, "/videos").without_key().send().await.expect(401);
}

pub(crate) async fn options(session: &Session<'_>) {
    for path in
        ["/upload-url", "/videos", "/videos/any", "/videos/any/events", "/openapi.json", "/problems/x"]
    {
        let response = session.call(Method::OPTIONS, path).without_key().send().await.expect(204);
        assert!(response.header("allow").unwrap().ends_with("OPTIONS"));
        assert_eq!(response.header("access-control-allow-methods"), None);
    }
    session.call(Method::OPTIONS, "/nothing").send().await.expect_problem(404, "no-such-path");
    session.call(Method::OPTIONS, "/").send().await.expect_problem(404, "no-such-path");
}
