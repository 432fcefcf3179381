//! The costs of an upload and of a playback grant are those of the model in `docs/scale.md`.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use streamio_emulator::CloudConfig;
use streamio_emulator::cloud::{LEDGER_TABLE, VIEWS_TABLE};
use streamio_emulator::fault_proxy::Consumed;
use streamio_emulator::scale::costs::{self, Cost};
use streamio_events::commit::Commit;
use streamio_events::log::EventLogExt as _;
use streamio_events::stream::StreamId;

use crate::clips::clip;
use crate::test_cloud::TestCloud;
use crate::webhooks::{Receiver, register};

/// How many uploads are measured, after one that is not.
const UPLOADS: usize = 4;

/// How many reports of progress are measured.
const REPORTS: usize = 2;

/// How many deliveries of webhooks are measured.
const DELIVERIES: usize = 20;

/// How many playback grants are measured, one after another.
const SINGLE_GRANTS: usize = 20;

/// How many playback grants are measured at the same time.
const GRANTS: usize = 200;

/// By how much a measured cost may differ from that of the model: triggers deliver in batches whose size depends on time.
const TOLERANCE: f64 = 0.2;

/// A cloud whose schedule does not run during a test.
async fn without_sweep() -> TestCloud {
    TestCloud::start_with(|config| CloudConfig { sweep_every: Duration::from_hours(1), ..config }).await
}

/// All commits, read without the proxy that meters.
async fn commits(cloud: &TestCloud) -> Vec<Commit> {
    cloud.log().scan_to_end().await.unwrap()
}

async fn count(cloud: &TestCloud, kind: &str) -> usize {
    let commits = commits(cloud).await;
    commits.iter().flat_map(|commit| &commit.events).filter(|event| event.kind == kind).count()
}

/// Waits until the log has `expected` events of `kind` and all that follows from them is done, without calls that are metered.
async fn wait_for_events(cloud: &TestCloud, kind: &str, expected: usize) {
    cloud.wait_until(&format!("{expected} {kind}"), async || count(cloud, kind).await >= expected).await;
    for mapping in [&cloud.mappings().intake, &cloud.mappings().react, &cloud.mappings().views] {
        mapping.wait_until_caught_up().await;
    }
    cloud.bus().wait_until_idle().await;
}

/// The consumed capacity as a cost.
fn cost(consumed: &Consumed) -> Cost {
    let views = |index: &str| consumed.of(&format!("{VIEWS_TABLE}/{index}"));
    let (ledger, rows) = (consumed.of(LEDGER_TABLE), consumed.of(VIEWS_TABLE));
    let (by_project, by_state, by_due) = (views("by_project"), views("by_state"), views("by_due"));
    let requests = consumed.requests.values().chain(consumed.refused.values()).sum::<usize>();
    Cost {
        ledger_writes: ledger.write,
        ledger_reads: ledger.read,
        view_writes: rows.write,
        view_reads: rows.read + by_project.read + by_state.read + by_due.read,
        by_project: by_project.write,
        by_state: by_state.write,
        by_due: by_due.write,
        requests: u32::try_from(requests).unwrap().into(),
    }
}

fn float(number: usize) -> f64 {
    u32::try_from(number).unwrap().into()
}

/// Fails unless each part of `measured` is that of `model` within [`TOLERANCE`], or within half a unit.
fn assert_close(what: &str, measured: Cost, model: Cost) {
    let differing: Vec<String> = measured
        .parts()
        .into_iter()
        .zip(model.parts())
        .filter(|((_, measured), (_, model))| (measured - model).abs() > (model * TOLERANCE).max(0.5))
        .map(|((name, measured), (_, model))| format!("{name}: measured {measured:.2}, model {model:.2}"))
        .collect();
    assert!(
        differing.is_empty(),
        "change emulator/src/scale/costs.rs and docs/scale.md: the cost of {what} is {measured:#?}\n{}",
        differing.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_costs_what_the_model_of_scale_states() {
    let cloud = without_sweep().await;
    cloud.upload("warm.mp4", clip()).await;
    wait_for_events(&cloud, "video.ready", 1).await;

    // A report of progress: the worker sends them while its FFmpeg does not start.
    cloud.gate.close();
    let before = count(&cloud, "processing.progressed").await;
    cloud.upload("slow.mp4", clip()).await;
    wait_for_events(&cloud, "processing.progressed", before + 1).await;
    let before = count(&cloud, "processing.progressed").await;
    cloud.dynamo_proxy().meter_capacity();
    wait_for_events(&cloud, "processing.progressed", before + REPORTS).await;
    let reports = count(&cloud, "processing.progressed").await - before;
    let report = cost(&cloud.dynamo_proxy().consumed()).times(1.0 / float(reports));
    cloud.gate.open();
    wait_for_events(&cloud, "video.ready", 2).await;

    let before = count(&cloud, "processing.progressed").await;
    cloud.dynamo_proxy().meter_capacity();
    for number in 0..UPLOADS {
        let grant = cloud.recorded_grant(&format!("clip-{number}.mp4")).await;
        cloud.put_object(&grant, clip()).await;
        wait_for_events(&cloud, "video.ready", number + 3).await;
    }
    let reports = count(&cloud, "processing.progressed").await - before;
    let uploads = cost(&cloud.dynamo_proxy().consumed());
    let upload = uploads.plus(report.times(-float(reports))).times(1.0 / float(UPLOADS));
    cloud.finish().await;
    assert_close("an upload", upload, costs::UPLOAD);
    assert_close("a report of progress", report, costs::REPORT);
}

/// An example is a message like any other. Its request costs what the schedule of another message does: a read of the endpoints.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_delivery_costs_what_the_model_of_scale_states() {
    let (cloud, receiver) = (without_sweep().await, Receiver::start().await);
    let created = register(&cloud, &receiver, "/live").await;
    let path = format!("/webhooks/{}/test", created["webhookId"].as_str().unwrap());
    let send = async || cloud.post(&path, &json!({ "type": "video.ready" })).await;
    send().await;
    wait_for_events(&cloud, "webhook.delivered", 1).await;
    cloud.dynamo_proxy().meter_capacity();
    for number in 0..DELIVERIES {
        send().await;
        wait_for_events(&cloud, "webhook.delivered", number + 2).await;
    }
    let delivery = cost(&cloud.dynamo_proxy().consumed()).times(1.0 / float(DELIVERIES));
    cloud.finish().await;
    assert_close("a delivery of a webhook", delivery, costs::DELIVERY);
}

/// A cloud that meters only what playback grants cost.
async fn for_playback_grants() -> TestCloud {
    let cloud = without_sweep().await;
    // The replication of the project's key writes to the views.
    cloud.mappings().views.wait_until_caught_up().await;
    cloud.dynamo_proxy().meter_capacity();
    cloud
}

async fn grant_playback(cloud: &TestCloud) {
    let path = "/playback-url?key=processed/acme/films/clip.mp4";
    let request = cloud.http.post(format!("{}{path}", cloud.api())).json(&json!({}));
    let (status, body) = cloud.send_request(request).await;
    assert_eq!(status, 200, "{body}");
}

/// How many playback grants are recorded, and what their commits cost by the model without repetitions.
async fn recorded_playbacks(cloud: &TestCloud) -> (usize, Cost) {
    let commits = commits(cloud).await;
    let of_grants = commits.iter().filter(|commit| matches!(commit.stream, StreamId::Grants { .. }));
    of_grants.fold((0, Cost::default()), |(count, cost), commit| {
        let events = commit.events.len();
        (count + events, cost.plus(costs::undisturbed_playback_commit(float(events))))
    })
}

/// One after another: no commit waits for another one, and no function prevents another one's transaction.
#[tokio::test(flavor = "multi_thread")]
async fn playback_grants_cost_what_the_model_of_scale_states() {
    let cloud = for_playback_grants().await;
    for number in 0..SINGLE_GRANTS {
        grant_playback(&cloud).await;
        wait_for_events(&cloud, "playback.granted", number + 1).await;
    }
    let consumed = cost(&cloud.dynamo_proxy().consumed());
    let (recorded, model) = recorded_playbacks(&cloud).await;
    cloud.finish().await;
    assert_eq!(recorded, SINGLE_GRANTS);
    // A process that knows its stream does not read it.
    assert!(consumed.ledger_reads <= model.ledger_reads, "{consumed:?}, model {model:?}");
    let at_most_one_read = Cost {
        ledger_reads: model.ledger_reads,
        requests: consumed.requests + model.ledger_reads - consumed.ledger_reads,
        ..consumed
    };
    assert_close("playback grants", at_most_one_read, model);
}

/// Grants share commits, and commits share transactions. How often a transaction is repeated, and therefore the reads, depends on time.
#[tokio::test(flavor = "multi_thread")]
async fn playback_grants_at_the_same_time_write_no_more_than_the_model_of_scale_states() {
    let cloud = for_playback_grants().await;
    join_all((0..GRANTS).map(|_| grant_playback(&cloud))).await;
    wait_for_events(&cloud, "playback.granted", GRANTS).await;
    let consumed = cost(&cloud.dynamo_proxy().consumed());
    let (recorded, model) = recorded_playbacks(&cloud).await;
    cloud.finish().await;
    assert_eq!(recorded, GRANTS);
    assert!(consumed.view_writes <= model.view_writes, "{consumed:?}, model {model:?}");
    let ledger = |cost: Cost| Cost { ledger_writes: cost.ledger_writes, ..Cost::default() };
    assert_close("playback grants", ledger(consumed), ledger(model));
}
