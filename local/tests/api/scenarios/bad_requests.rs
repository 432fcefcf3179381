use streamio_edge::testing::bad_requests;

use crate::session::Session;

pub(crate) async fn each_is_refused_as_the_table_says(session: &Session<'_>) {
    let target = &session.keys().table;
    let mut failures = Vec::new();
    for bad in bad_requests() {
        let answer = session.send(bad.request(target)).await;
        let mut response = http::Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        if let Err(failure) = bad.check(target, &response) {
            failures.push(format!("{}: {failure}", bad.name));
        }
    }
    assert!(failures.is_empty(), "{} are answered otherwise:\n{}", failures.len(), failures.join("\n"));
}
