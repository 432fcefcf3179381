use std::fmt::Write as _;

use tokio::net::TcpListener;

use crate::fake_server::{FakeServer, Fault, problem};
use crate::run::{Run, api_key, client, normalized, run, streamio};

const VIDEO: &str = "vid_aaaaaaaaaaaaaaaaaaaaaaaaaa";

async fn show(server: &FakeServer, extra: &[&str]) -> Run {
    let state = tempfile::tempdir().unwrap();
    run(client(server, state.path(), &[&["video", "show", VIDEO], extra].concat())).await
}

#[tokio::test]
async fn each_problem_is_one_line_with_an_exit_code() {
    let problems = [
        problem(
            400,
            "invalid-parameter",
            "A parameter or header is invalid",
            "`asOf` is not a time.",
            Some("asOf"),
        ),
        problem(401, "revoked-api-key", "The API key was revoked", "Ask for a new key.", None),
        problem(
            403,
            "missing-scope",
            "The API key may not do this",
            "This call needs a key with the scope `read`; this key has `upload`.",
            None,
        ),
        problem(
            403,
            "suspended-project",
            "The project is suspended",
            "Contact the operator of this service.",
            None,
        ),
        problem(404, "no-such-video", "The project has no such video", "Check the id.", None),
        problem(
            404,
            "no-such-path",
            "There is nothing at this path",
            "See `/openapi.json` for what there is.",
            None,
        ),
        problem(
            409,
            "video-conflict",
            "The video's state does not allow this",
            "It is being processed.",
            None,
        ),
        Fault::Respond(502, vec![], "<html>bad gateway</html>".to_owned()),
    ];
    let mut lines = String::new();
    for problem in problems {
        let server = FakeServer::start().await;
        server.inject("GET /videos/", std::iter::repeat_n(problem, 8));
        let run = show(&server, &["--quiet"]).await;
        assert_eq!(run.stdout, "");
        write!(lines, "{} {}", run.code.unwrap_or(-1), run.stderr).unwrap();
    }
    insta::assert_snapshot!(lines, @r"
    4 error: `--as-of` is not a time (HTTP 400, request req_0123456789)
    4 error: The API key was revoked: Ask for a new key (HTTP 401, request req_0123456789); create a new key with `streamio key create PROJECT` and set STREAMIO_API_KEY to it
    4 error: The API key may not do this: This call needs a key with the scope `read`; this key has `upload` (HTTP 403, request req_0123456789); use a key with the scope read; `streamio key create PROJECT --scope read` creates one
    4 error: The project is suspended: Contact the operator of this service (HTTP 403, request req_0123456789); ask the operator to resume the project with `streamio project resume PROJECT`
    3 error: The project has no such video: Check the id (HTTP 404, request req_0123456789); list the videos with `streamio video list`
    1 error: There is nothing at this path: See `/openapi.json` for what there is (HTTP 404, request req_0123456789); check that STREAMIO_URL or --url is the API's address
    4 error: The video's state does not allow this: It is being processed (HTTP 409, request req_0123456789)
    5 error: the API failed (HTTP 502); try again in a moment; if the error persists, give the request id to the operator
    ");
}

#[tokio::test]
async fn a_problem_is_a_json_object_with_json_output() {
    let server = FakeServer::start().await;
    server.inject(
        "GET /videos/",
        [problem(
            400,
            "invalid-parameter",
            "A parameter or header is invalid",
            "`asOf` is not a time.",
            Some("asOf"),
        )],
    );
    let run = show(&server, &["--json"]).await;
    assert_eq!(run.code, Some(4));
    insta::assert_json_snapshot!(run.error(), @r#"
    {
      "detail": "`asOf` is not a time.",
      "exitCode": 4,
      "field": "asOf",
      "kind": "refused",
      "message": "`--as-of` is not a time (HTTP 400, request req_0123456789)",
      "requestId": "req_0123456789",
      "status": 400,
      "title": "A parameter or header is invalid",
      "type": "/problems/invalid-parameter"
    }
    "#);
}

#[tokio::test]
async fn a_busy_server_is_retried() {
    let server = FakeServer::start().await;
    let busy = |status, slug| match problem(status, slug, "Busy", "Try again.", None) {
        Fault::Respond(status, mut headers, body) => {
            headers.push(("retry-after", "0".to_owned()));
            Fault::Respond(status, headers, body)
        }
        other => other,
    };
    server.inject("GET /videos/", [busy(429, "rate-limited"), busy(503, "unavailable"), Fault::CutBefore]);
    server.state().views.insert(VIDEO.to_owned(), [crate::video::view("ready", 1, 9)].into());
    let run = show(&server, &["--json"]).await.ok();
    assert_eq!(run.json()["state"], "ready");
    assert_eq!(run.stderr.lines().count(), 3, "{run:?}");
    assert!(run.stderr.lines().all(|line| line.contains("trying again in ")), "{run:?}");
}

#[tokio::test]
async fn a_server_that_stays_busy_is_unavailable() {
    let server = FakeServer::start().await;
    let busy = problem(
        503,
        "unavailable",
        "The service cannot do this right now",
        "The view could not be read.",
        None,
    );
    server.inject("GET /videos/", std::iter::repeat_n(busy, 99));
    let run = show(&server, &["--json"]).await;
    assert_eq!((run.code, &run.error()["kind"]), (Some(5), &"unavailable".into()));
    assert_eq!(server.requests("GET /videos/").len(), 4);
}

#[tokio::test]
async fn a_long_retry_after_is_not_waited_for() {
    let server = FakeServer::start().await;
    let Fault::Respond(status, mut headers, body) =
        problem(429, "rate-limited", "Too many requests", "Wait.", None)
    else {
        panic!("a problem is a response");
    };
    headers.push(("retry-after", "3600".to_owned()));
    server.inject("GET /videos/", [Fault::Respond(status, headers, body)]);
    let run = show(&server, &["--json"]).await;
    assert_eq!((run.code, &run.error()["retryAfter"]), (Some(5), &3600.into()));
    assert_eq!(server.requests("GET /videos/").len(), 1);
}

#[tokio::test]
async fn a_refused_connection_names_the_address_and_what_to_check() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let mut command = streamio(&["video", "list", "--quiet"]);
    command.env("STREAMIO_URL", &address).env("STREAMIO_API_KEY", api_key().reveal());
    let run = run(command).await;
    assert_eq!(run.code, Some(5));
    insta::assert_snapshot!(normalized(&run.stderr, &[(&address, "http://SERVER")]), @"error: cannot connect to http://SERVER: Connection refused (os error 111); check that the server is running (`streamio up` runs one on this machine) and that STREAMIO_URL or --url is its address");
}

#[tokio::test]
async fn the_key_is_not_sent_to_the_host_of_a_redirect() {
    let (server, other) = (FakeServer::start().await, FakeServer::start().await);
    let location = format!("{}/videos/{VIDEO}", other.url());
    server.inject("GET /videos/", [Fault::Respond(307, vec![("location", location)], String::new())]);
    let run = show(&server, &[]).await;
    assert_eq!(run.code, Some(1));
    assert!(other.requests("").is_empty());
    insta::assert_snapshot!(normalized(&run.stderr, &[(server.url(), "http://SERVER")]), @"error: http://SERVER gave a response that this version does not understand: it redirects to another host (HTTP 307); check that STREAMIO_URL or --url is the API's address, and that this command has the same version as the server");
}

#[tokio::test]
async fn a_server_that_is_not_the_api_is_reported() {
    let server = FakeServer::start().await;
    server.inject("GET /videos/", [Fault::Respond(200, vec![], "<html>hello</html>".to_owned())]);
    let run = show(&server, &[]).await;
    assert_eq!(run.code, Some(1));
    insta::assert_snapshot!(normalized(&run.stderr, &[(server.url(), "http://SERVER")]), @"error: http://SERVER gave a response that this version does not understand: it is not JSON; check that STREAMIO_URL or --url is the API's address, and that this command has the same version as the server");
}

#[tokio::test]
async fn an_https_address_of_a_server_without_tls_is_named_as_the_reason() {
    let server = FakeServer::start().await;
    let url = server.url().replacen("http://", "https://", 1);
    let run = show(&server, &["--url", &url]).await;
    assert_eq!(run.code, Some(5));
    let replacements = [(url.as_str(), "https://SERVER"), (server.url(), "http://SERVER")];
    insta::assert_snapshot!(normalized(&run.stderr, &replacements), @"error: cannot connect to https://SERVER: the server does not speak TLS; try http://SERVER");
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_sent() {
    let server = FakeServer::start().await;
    let mut lines = String::new();
    for key in [None, Some("sio_test_short"), Some(&api_key().reveal().replace('_', "-") as &str)] {
        let mut command = streamio(&["video", "list"]);
        command.env("STREAMIO_URL", server.url());
        if let Some(key) = key {
            command.env("STREAMIO_API_KEY", key);
        }
        let run = run(command).await;
        write!(lines, "{} {}", run.code.unwrap_or(-1), run.stderr).unwrap();
    }
    assert!(server.requests("").is_empty());
    insta::assert_snapshot!(lines, @r"
    2 error: no API key was given; set STREAMIO_API_KEY to the key that `streamio project create` or `streamio key create` printed
    2 error: the API key in STREAMIO_API_KEY is invalid: an API key looks like sio_<env>_<43 letters and digits>_<6 letters and digits>; copy the complete key again, without quotes
    2 error: the API key in STREAMIO_API_KEY is invalid: an API key looks like sio_<env>_<43 letters and digits>_<6 letters and digits>; copy the complete key again, without quotes
    ");
}

#[tokio::test]
async fn the_key_can_be_read_from_a_file() {
    let server = FakeServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, format!("{}\n", api_key().reveal())).unwrap();
    let mut command = streamio(&["video", "list", "--api-key-file"]);
    command.arg(&path).env("STREAMIO_URL", server.url());
    run(command).await.ok();
    assert_eq!(server.requests("GET /videos")[0].headers["x-api-key"], api_key().reveal());
}
