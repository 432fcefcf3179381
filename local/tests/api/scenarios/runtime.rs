//! What the Worker's runtime decides before the Worker has a request, and the native API decides itself. Here alone the
//! targets may differ: nothing of it is in the transcript, and each is checked on its own.
//!
//! - The runtime resolves `.` and `..` in a path, as clients do before they send (RFC 3986, section 5.2.4), so that the
//!   Worker answers for the path that is meant. The native API knows no such path.
//! - The runtime answers methods that it does not know, and CONNECT, by itself.
//!
//! What the runtime does and the native API does too needs no mention here: it passes on several headers of one name as
//! one list, and an empty `content-type` as none.

use http::Method;

use crate::session::Session;

pub(crate) async fn dots_in_paths(session: &Session<'_>) {
    for (path, native, meant) in [
        ("/./healthz", 404, 200),
        ("/../healthz", 404, 200),
        ("/videos/../healthz", 404, 200),
        ("/problems/./invalid-body", 404, 200),
        ("/healthz/.", 404, 404),
        ("/videos/..", 400, 404),
        ("/videos/.", 400, 404),
    ] {
        let answer = session.get(path).send_unheard().await;
        assert_eq!(answer.status, if session.is_on_workerd() { meant } else { native }, "{path}: {answer:?}");
    }
}

pub(crate) async fn methods_that_nobody_knows(session: &Session<'_>) {
    let brew = Method::from_bytes(b"BREW").unwrap();
    let answer = session.call(brew, "/healthz").send_unheard().await;
    if session.is_on_workerd() {
        answer.expect(501);
    } else {
        answer.expect_problem(405, "method-not-allowed");
    }
}
