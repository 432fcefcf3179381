//! Single operations, repeated inside workerd (`edge/bench/operations.mjs`).

use std::time::Duration;

use anyhow::{Result, bail};

use super::workerd::Server;
use crate::bench::comparison::{Comparison, Goal, Unit};
use crate::bench::effort::Effort;
use crate::bench::median::median;

/// The minimum duration of one measurement. A request with a count of 0 takes about 0.3 ms, which is small compared with it.
const MIN_DURATION: Duration = Duration::from_millis(150);

/// The maximum count. An operation that reaches it takes less than 15 ns, so it does nothing.
const MAX_COUNT: u32 = 10_000_000;

/// One operation of one side.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    server: &'a Server,
    name: &'static str,
}

impl<'a> Operation<'a> {
    pub(super) fn new(server: &'a Server, name: &'static str) -> Self {
        Self { server, name }
    }

    /// Performs the operation `count` times. Returns the checksum of the results and the duration.
    fn perform(self, count: u32) -> Result<(u64, Duration)> {
        let (body, took) = self.server.get(&format!("/?operation={}&count={count}", self.name))?;
        let Ok(checksum) = body.trim().parse() else { bail!("{} returned no checksum: {body:?}", self.name) };
        Ok((checksum, took))
    }

    /// Returns a count that takes at least [`MIN_DURATION`]. The search also warms up the code.
    fn find_count(self) -> Result<u32> {
        let mut count = 16;
        loop {
            let (checksum, took) = self.perform(count)?;
            if checksum == 0 {
                bail!("{} did nothing", self.name);
            }
            // A single slow measurement may be a disturbance, and a count that is too small makes the figures noisy.
            if took >= MIN_DURATION && self.perform(count)?.1 >= MIN_DURATION {
                return Ok(count);
            }
            if count >= MAX_COUNT {
                bail!("{} took only {took:?} for {count} operations, so it did no work", self.name);
            }
            count *= 2;
        }
    }

    /// Returns the microseconds per operation, measured over `count` operations.
    fn micros(self, count: u32) -> Result<f64> {
        let (_, overhead) = self.perform(0)?;
        let (_, took) = self.perform(count)?;
        Ok(took.saturating_sub(overhead).as_secs_f64() * 1e6 / f64::from(count))
    }
}

/// Compares our operation with the peer's, measured in turn. Fails if an operation returns no checksum or takes no time.
pub(super) fn compare(
    name: &str,
    (ours, peer): (Operation<'_>, Operation<'_>),
    effort: Effort,
    peer_name: &'static str,
    goal: Option<Goal>,
) -> Result<Comparison> {
    let (our_count, peer_count) = (ours.find_count()?, peer.find_count()?);
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        our_times.push(ours.micros(our_count)?);
        peer_times.push(peer.micros(peer_count)?);
    }
    let (our_time, peer_time) = (median(our_times).unwrap_or(0.0), median(peer_times).unwrap_or(0.0));
    if our_time <= 0.0 || peer_time <= 0.0 {
        bail!("an operation took no measurable time: the machine is too busy");
    }
    Ok(Comparison {
        name: name.to_owned(),
        peer_name,
        ours: our_time,
        peer: peer_time,
        unit: Unit::MicrosPerOperation,
        goal,
        latency: None,
    })
}
