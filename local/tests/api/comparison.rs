//! Runs every scenario with every target and compares the transcripts.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use http::Method;
use similar::TextDiff;

use crate::log;
use crate::scenarios::{ORIGIN_SCENARIOS, SCENARIOS, Scenario};
use crate::session::Session;
use crate::target::{self, Target};

/// The number of context lines around a difference.
const CONTEXT: usize = 12;

#[tokio::test]
async fn every_target_returns_the_same_responses_and_logs_no_secret() {
    log::collect();
    let targets = target::all(&[]).await;
    assert_agreement(&targets, SCENARIOS).await;
    let mut secrets = Vec::new();
    for mut target in targets {
        assert!(
            target.secrets.len() > 100,
            "only {} secrets were collected {}",
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
async fn every_target_allows_the_same_origins() {
    log::collect();
    let targets = target::all(&["https://app.example", "http://localhost:3000"]).await;
    assert_agreement(&targets, ORIGIN_SCENARIOS).await;
    for target in targets {
        target.stop().await;
    }
}

#[tokio::test]
async fn differences_and_failures_are_reported_with_the_target_and_the_scenario() {
    log::collect();
    let targets = [target::in_process(&[]).await, target::over_http(&["https://app.example"]).await];
    let scenarios: &[(&str, Scenario)] = &[
        ("equal", |session| {
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

/// Panics unless every scenario passes with every target and all transcripts are equal.
async fn assert_agreement(targets: &[Target], scenarios: &[(&str, Scenario)]) {
    let failures = disagreements(targets, scenarios).await;
    assert!(failures.is_empty(), "{} failures:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// The scenarios that fail, and those whose transcript differs from that of the first target.
async fn disagreements(targets: &[Target], scenarios: &[(&str, Scenario)]) -> Vec<String> {
    let mut failures = Vec::new();
    let mut transcripts_by_target = Vec::new();
    for target in targets {
        transcripts_by_target.push(run_scenarios(target, scenarios, &mut failures).await);
    }
    for (target, transcripts) in targets.iter().zip(&transcripts_by_target).skip(1) {
        for (((name, _), expected), found) in scenarios.iter().zip(&transcripts_by_target[0]).zip(transcripts)
        {
            // A failure of either is already reported.
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

/// Runs the scenarios with `target`. Returns their transcripts in order; `None` for a scenario that failed.
async fn run_scenarios(
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
