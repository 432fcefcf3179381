//! What the Worker's runtime decides before the Worker receives a request, and the native API decides itself. Only here
//! may the targets differ: these requests are not recorded, and each target is checked separately.
//!
//! - The runtime resolves `.` and `..` in a path, as clients do before they send (RFC 3986, section 5.2.4), so the
//!   Worker receives the resolved path. The native API has no such path.
//! - The runtime itself responds to CONNECT and to methods that it does not know.
//!
//! Both join several headers of one name to one list and treat an empty `content-type` as absent.

use http::Method;

use crate::session::Session;

pub(crate) async fn dots_in_paths(session: &Session<'_>) {
    for (path, native, resolved) in [
        ("/./healthz", 404, 200),
        ("/../healthz", 404, 200),
        ("/videos/../healthz", 404, 200),
        ("/problems/./invalid-body", 404, 200),
        ("/healthz/.", 404, 404),
        ("/videos/..", 400, 404),
        ("/videos/.", 400, 404),
    ] {
        let response = session.get(path).send_unrecorded().await;
        assert_eq!(
            response.status,
            if session.is_on_workerd() { resolved } else { native },
            "{path}: {response:?}"
        );
    }
}

pub(crate) async fn unknown_methods(session: &Session<'_>) {
    let brew = Method::from_bytes(b"BREW").unwrap();
    let response = session.call(brew, "/healthz").send_unrecorded().await;
    if session.is_on_workerd() {
        response.expect(501);
    } else {
        response.expect_problem(405, "method-not-allowed");
    }
}
