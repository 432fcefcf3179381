//! The rate limit of a key.

use crate::session::Session;
use crate::target::QUOTA;

/// With more requests than this the quota is refilled faster than it is used, or it is not enforced.
const MAX_REQUESTS: u32 = 20 * QUOTA;

pub(crate) async fn reported_and_exhausted(session: &Session<'_>) {
    let exhausted = &session.keys().exhausted;
    let first = session.get("/videos?limit=1").key(exhausted).send().await.expect(200);
    assert_eq!(
        first.header("ratelimit-policy"),
        Some(&*format!("\"key\";q={QUOTA};w=60, \"project\";q=30000;w=60"))
    );
    assert_eq!(first.header("ratelimit"), Some(&*format!("\"key\";r={};t=1", QUOTA - 1)));
    // Requests that are refused for other reasons count, too.
    session.get("/events?limit=0").key(exhausted).send().await.expect_problem(400, "invalid-parameter");
    session.post("/upload-url").key(exhausted).send().await.expect_problem(403, "missing-scope");
    let mut sent = 0;
    while session.get("/videos?limit=0").key(exhausted).send_unrecorded().await.status != 429 {
        sent += 1;
        assert!(sent < MAX_REQUESTS, "after {sent} requests there is still some of the quota left");
    }
    assert!(sent >= QUOTA - 4, "refused after {sent}");
    let refused = loop {
        // A request may be accepted, because the quota is refilled continuously.
        let response = session.get("/videos").key(exhausted).send_unrecorded().await;
        if response.status == 429 {
            break response;
        }
    };
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("ratelimit").map(|field| field.starts_with("\"key\";r=0;")), Some(true));
    session.get("/videos").key(exhausted).until(|response| response.status == 429).await;
    // Other keys are not affected, and calls without a key have no quota.
    session.get("/videos?limit=1").send().await.expect(200);
    let health = session.get("/healthz").key(exhausted).send().await.expect(200);
    assert_eq!(health.header("ratelimit"), None);
}
