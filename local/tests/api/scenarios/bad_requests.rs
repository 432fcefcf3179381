//! The bad requests of the edge's test table.

use streamio_edge::testing::bad_requests;

use crate::session::Session;

pub(crate) async fn every_bad_request_is_refused_as_specified(session: &Session<'_>) {
    let target = &session.keys().table;
    let mut failures = Vec::new();
    for bad in bad_requests() {
        let received = session.send(bad.request(target)).await;
        let mut response = http::Response::new(received.body);
        *response.status_mut() = received.status;
        *response.headers_mut() = received.headers;
        if let Err(failure) = bad.check(target, &response) {
            failures.push(format!("{}: {failure}", bad.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{} responses differ from the table:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
