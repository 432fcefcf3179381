//! From the start of the process to its first answer.

use anyhow::{Context, Result};

use super::worker::{CdnKey, Workers};
use super::workerd::{Server, Service};
use crate::bench::comparison::{Comparison, Goal, Unit};
use crate::bench::median::median;
use crate::bench::{Effort, progress};

/// Starts scatter more than loads do, and are quick.
const LEAST_ROUNDS: u32 = 21;

/// A call that needs nobody's leave and does nothing.
const TARGET: &str = "/healthz";

pub(super) fn compare(
    workers: &Workers,
    effort: Effort,
    peer_name: &'static str,
    goal: Goal,
) -> Result<Comparison> {
    let name = "cold start to the first answer";
    progress(name);
    let (ours, noop) = (workers.ours(CdnKey::Ecdsa, false)?, workers.noop()?);
    // The first start of each reads its program and modules from the disk.
    for service in [&ours, &noop] {
        millis(service)?;
    }
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds.max(LEAST_ROUNDS) {
        our_times.push(millis(&ours).context("ours")?);
        peer_times.push(millis(&noop).context("the peer")?);
    }
    Ok(Comparison {
        name: name.to_owned(),
        peer_name,
        ours: median(our_times).unwrap_or(f64::NAN),
        peer: median(peer_times).unwrap_or(f64::NAN),
        unit: Unit::Millis,
        goal: Some(goal),
        latency: None,
    })
}

fn millis(service: &Service) -> Result<f64> {
    let server = Server::start(service)?;
    server.get(TARGET)?;
    Ok(server.started.elapsed().as_secs_f64() * 1e3)
}
