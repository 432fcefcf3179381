//! Holds every scenario with every target and compares what they said.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use http::Method;
use similar::TextDiff;

use crate::log;
use crate::scenarios::{OF_ONE_ORIGIN, SCENARIOS, Scenario};
use crate::session::Session;
use crate::target::{self, Target};

/// The lines around a difference that are shown.
const CONTEXT: usize = 12;

#[tokio::test]
async fn every_target_gives_the_same_answers_and_logs_no_secret() {
    log::collect();
    let targets = target::all(&[]).await;
    agree(&targets, SCENARIOS).await;
    let mut secrets = Vec::new();
    for mut target in targets {
        assert!(
            target.secrets.len() > 100,
            "only {} secrets were seen {}",
            target.secrets.len(),
            target.name
        );
        secrets.push(std::mem::take(&mut target.secrets));
        target.stop().await;
    }
    let log = log::logged();
    for served in ["streamio_local::api: request served", "streamio_local::workerd::log: request served"] {
        assert!(log.contains(served), "the requests are not in the log ({served}):\n{log}");
    }
    for secrets in secrets {
        secrets.assert_no_secret_in(&log);
    }
}

#[tokio::test]
async fn every_target_shares_its_answers_with_the_same_origins() {
    log::collect();
    let targets = target::all(&["https://app.example", "http://localhost:3000"]).await;
    agree(&targets, OF_ONE_ORIGIN).await;
    for target in targets {
        target.stop().await;
    }
}

#[tokio::test]
async fn a_difference_and_a_failure_are_told_with_the_target_and_the_scenario() {
    log::collect();
    let targets = [target::in_process(&[]).await, target::over_http(&["https://app.example"]).await];
    let scenarios: &[(&str, Scenario)] = &[
        ("alike", |session| {
            Box::pin(async { drop(session.follow(Method::GET, &session.cdn("/"), &[], b"").await) })
        }),
        ("different", |session| {
            Box::pin(async { drop(session.get("/healthz").header("origin", "null").send().await) })
        }),
        ("failing", |session| Box::pin(async { drop(session.get("/nothing").send().await.expect(200)) })),
    ];
    let disagreements = disagreements(&targets, scenarios).await;
    let [in_process, over_http, difference] = &disagreements[..] else { panic!("{disagreements:#?}") };
    assert!(in_process.starts_with("failing fails in process: ") && in_process.contains("no-such-path"));
    assert!(over_http.starts_with("failing fails over HTTP: "), "{over_http}");
    assert!(difference.starts_with("different differs over HTTP:\n"), "{difference}");
    assert!(difference.contains("\n-access-control-allow-origin: *\n"), "{difference}");
    for target in targets {
        target.stop().await;
    }
}

/// Panics unless every scenario holds with every target and is told alike.
async fn agree(targets: &[Target], scenarios: &[(&str, Scenario)]) {
    let failures = disagreements(targets, scenarios).await;
    assert!(failures.is_empty(), "{} failures:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// All that is wrong: scenarios that fail, and those that are told otherwise than by the first target.
async fn disagreements(targets: &[Target], scenarios: &[(&str, Scenario)]) -> Vec<String> {
    let mut failures = Vec::new();
    let mut spoken = Vec::new();
    for target in targets {
        spoken.push(speak(target, scenarios, &mut failures).await);
    }
    for (target, transcripts) in targets.iter().zip(&spoken).skip(1) {
        for (((name, _), expected), found) in scenarios.iter().zip(&spoken[0]).zip(transcripts) {
            // Where one of the two has failed, that is told already.
            if let (Some(expected), Some(found)) = (expected, found)
                && expected != found
            {
                let diff = difference(&targets[0], expected, target, found);
                failures.push(format!("{name} differs {}:\n{diff}", target.name));
            }
        }
    }
    failures
}

/// The transcripts of the scenarios with `target`, in their order; `None` for one that has failed.
async fn speak(
    target: &Target,
    scenarios: &[(&str, Scenario)],
    failures: &mut Vec<String>,
) -> Vec<Option<String>> {
    let mut transcripts = Vec::new();
    for (name, scenario) in scenarios {
        let session = Session::new(target);
        transcripts.push(match AssertUnwindSafe(scenario(&session)).catch_unwind().await {
            Ok(()) => Some(session.transcript()),
            Err(panic) => {
                failures.push(format!("{name} fails {}: {}", target.name, message(&*panic)));
                None
            }
        });
    }
    transcripts
}

fn difference(reference: &Target, expected: &str, target: &Target, found: &str) -> String {
    TextDiff::from_lines(expected, found)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(reference.name, target.name)
        .to_string()
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
