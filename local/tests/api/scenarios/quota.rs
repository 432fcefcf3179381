use crate::session::Session;
use crate::target::QUOTA;

/// More requests than this do not come faster than the quota comes back: something is slow or the quota does not hold.
const MOST: u32 = 20 * QUOTA;

pub(crate) async fn is_told_and_used_up(session: &Session<'_>) {
    let hasty = &session.keys().hasty;
    let first = session.get("/videos?limit=1").key(hasty).send().await.expect(200);
    assert_eq!(first.header("ratelimit-policy"), Some(&*format!("\"key\";q={QUOTA};w=60")));
    assert_eq!(first.header("ratelimit"), Some(&*format!("\"key\";r={};t=1", QUOTA - 1)));
    // Refusals for other reasons count too.
    session.get("/events?limit=0").key(hasty).send().await.expect_problem(400, "invalid-parameter");
    session.post("/upload-url").key(hasty).send().await.expect_problem(403, "missing-scope");
    let mut sent = 0;
    while session.get("/videos?limit=0").key(hasty).send_unheard().await.status != 429 {
        sent += 1;
        assert!(sent < MOST, "after {sent} requests there is still some of the quota left");
    }
    assert!(sent >= QUOTA - 4, "refused after {sent}");
    let refused = loop {
        // Now and then one gets in: the quota comes back all the time.
        let answer = session.get("/videos").key(hasty).send_unheard().await;
        if answer.status == 429 {
            break answer;
        }
    };
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("ratelimit").map(|field| field.starts_with("\"key\";r=0;")), Some(true));
    session.get("/videos").key(hasty).until(|answer| answer.status == 429).await;
    // Nobody else waits for it, and what needs no key has no quota.
    session.get("/videos?limit=1").send().await.expect(200);
    let health = session.get("/healthz").key(hasty).send().await.expect(200);
    assert_eq!(health.header("ratelimit"), None);
}
