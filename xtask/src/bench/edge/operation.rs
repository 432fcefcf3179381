//! Single operations, repeated inside of workerd (`edge/bench/operations.mjs`).

use std::time::Duration;

use anyhow::{Result, bail};

use super::workerd::Server;
use crate::bench::Effort;
use crate::bench::comparison::{Comparison, Goal, Unit};
use crate::bench::median::median;

/// How long one turn takes at least. Beside it a request of a count of 0, some 0.3 ms, is small.
const TURN: Duration = Duration::from_millis(150);

/// More than anything needs: an operation that takes less than 15 ns is none.
const MOST: u32 = 10_000_000;

/// One operation of one side.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    server: &'a Server,
    name: &'static str,
}

impl<'a> Operation<'a> {
    pub(super) fn of(server: &'a Server, name: &'static str) -> Self {
        Self { server, name }
    }

    fn perform(self, count: u32) -> Result<(u64, Duration)> {
        let (answer, took) = self.server.get(&format!("/?operation={}&count={count}", self.name))?;
        let Ok(checksum) = answer.trim().parse() else {
            bail!("{} answered no checksum: {answer:?}", self.name)
        };
        Ok((checksum, took))
    }

    /// How many take [`TURN`]. Finding out compiles the code, too.
    fn count_of_a_turn(self) -> Result<u32> {
        let mut count = 16;
        loop {
            let (checksum, took) = self.perform(count)?;
            if checksum == 0 {
                bail!("{} did nothing", self.name);
            }
            // Once could be the machine's fault: a count that is too small would drown in noise.
            if took >= TURN && self.perform(count)?.1 >= TURN {
                return Ok(count);
            }
            if count >= MOST {
                bail!("{count} times {} took {took:?}: that cannot be", self.name);
            }
            count *= 2;
        }
    }

    /// Microseconds for one of `count`.
    fn micros(self, count: u32) -> Result<f64> {
        let (_, nothing) = self.perform(0)?;
        let (_, took) = self.perform(count)?;
        Ok(took.saturating_sub(nothing).as_secs_f64() * 1e6 / f64::from(count))
    }
}

/// Ours and the peer's in turns.
pub(super) fn compare(
    name: &str,
    (ours, peer): (Operation<'_>, Operation<'_>),
    effort: Effort,
    peer_name: &'static str,
    goal: Option<Goal>,
) -> Result<Comparison> {
    let (our_count, peer_count) = (ours.count_of_a_turn()?, peer.count_of_a_turn()?);
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        our_times.push(ours.micros(our_count)?);
        peer_times.push(peer.micros(peer_count)?);
    }
    let (our_time, peer_time) = (median(our_times).unwrap_or(0.0), median(peer_times).unwrap_or(0.0));
    if our_time <= 0.0 || peer_time <= 0.0 {
        bail!("an operation took no time at all: the machine is too busy to measure it");
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
