//! Cold starts: the time from the start of the process to its first response.

use anyhow::{Context, Result};

use super::worker::{CdnKey, Workers};
use super::workerd::{Server, Service};
use crate::bench::comparison::{Comparison, Goal, Unit};
use crate::bench::effort::Effort;
use crate::bench::median::median;
use crate::bench::progress::print_progress;

/// The minimum number of rounds. Starts vary more than loads do, and take less time.
const MIN_ROUNDS: u32 = 21;

/// The name of the comparison.
pub(super) const NAME: &str = "cold start to the first answer";

/// A call that needs no API key and does no work.
const TARGET: &str = "/healthz";

/// Compares the cold starts of our Worker and of a JavaScript Worker that does nothing.
pub(super) fn compare(
    workers: &Workers,
    effort: Effort,
    peer_name: &'static str,
    goal: Goal,
) -> Result<Comparison> {
    print_progress(NAME);
    let (ours, noop) = (workers.ours(CdnKey::Ecdsa, false)?, workers.noop()?);
    // The first start of each is not counted, because it reads the program and the modules from the disk.
    for service in [&ours, &noop] {
        millis(service)?;
    }
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds.max(MIN_ROUNDS) {
        our_times.push(millis(&ours).context("ours")?);
        peer_times.push(millis(&noop).context("the peer")?);
    }
    Ok(Comparison {
        name: NAME.to_owned(),
        peer_name,
        ours: median(our_times).unwrap_or(f64::NAN),
        peer: median(peer_times).unwrap_or(f64::NAN),
        unit: Unit::Millis,
        goal: Some(goal),
        latency: None,
    })
}

/// Starts the service and returns the milliseconds until its first response.
fn millis(service: &Service) -> Result<f64> {
    let server = Server::start(service)?;
    server.get(TARGET)?;
    Ok(server.started.elapsed().as_secs_f64() * 1e3)
}
