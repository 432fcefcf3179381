//! Whole requests under load: the requests/s of each side, and its processor time per request.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::call::Call;
use super::worker::{CdnKey, Workers};
use super::workerd::Server;
use crate::bench::comparison::{Comparison, Goal, Latencies, Latency, Unit};
use crate::bench::cpu;
use crate::bench::effort::Effort;
use crate::bench::median::median;
use crate::process::capture_ok;

/// The script that wrk runs.
const SCRIPT: &str = include_str!("../../../../edge/bench/load.lua");

/// The duration of the load before the first measurement, in which both sides compile their code.
const WARM_UP: Duration = Duration::from_secs(2);

/// One call, made over a number of connections to our Worker and to a peer.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) call: &'a Call,
    /// The part of the name that distinguishes loads of the same call; may be empty.
    pub(super) variant: &'static str,
    pub(super) key: CdnKey,
    /// Whether grants with similar expiries share one signature.
    pub(super) shared: bool,
    pub(super) connections: u32,
    pub(super) peer: Peer,
}

/// The Worker that ours is compared with.
#[derive(Clone, Copy)]
pub(super) enum Peer {
    /// The JavaScript Worker that does the same work with npm packages. The goal bounds requests/s, `cost` our processor time.
    JavaScript { name: &'static str, goal: Goal, cost: Option<Goal> },
    /// The Worker with the same input and output and no other work (`edge/bench/floor.mjs`). The goal bounds processor time.
    Floor { goal: Goal },
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::JavaScript { name, .. } => name,
            Self::Floor { .. } => "floor: the same input and output, no work",
        }
    }

    fn speed_goal(self) -> Option<Goal> {
        match self {
            Self::JavaScript { goal, .. } => Some(goal),
            Self::Floor { .. } => None,
        }
    }

    fn cost_goal(self) -> Option<Goal> {
        match self {
            Self::JavaScript { cost, .. } => cost,
            Self::Floor { goal } => Some(goal),
        }
    }
}

/// The result of one run of wrk.
#[derive(Clone, Copy, Debug, Deserialize)]
struct WrkResult {
    requests: u64,
    /// The duration of the run.
    micros: u64,
    /// The median latency, in microseconds.
    p50: u64,
    /// The 99th percentile of latencies, in microseconds.
    p99: u64,
    /// Responses with a status of 400 or more.
    refused: u64,
    /// Requests without a response.
    broken: u64,
}

/// One measurement of one side.
#[derive(Clone, Copy, Debug)]
struct Turn {
    wrk: WrkResult,
    /// Processor time of the whole workerd process, if the system reports it.
    cpu: Option<Duration>,
}

impl Load<'_> {
    /// Returns the name in the report. Programs find results by it, so it must stay stable.
    pub(super) fn name(&self) -> String {
        let floor = if matches!(self.peer, Peer::Floor { .. }) { ", against the floor" } else { "" };
        format!("{}{}, c={}{floor}", self.call.name, self.variant, self.connections)
    }

    /// Compares requests/s and, if the system reports it, processor time.
    pub(super) fn run(&self, workers: &Workers, effort: Effort) -> Result<Vec<Comparison>> {
        let mut ours = Server::start(&workers.ours(self.key, self.shared)?)?;
        let (target, body) = self.call.first();
        let our_response = ours.request(&target, &body, &workers.api_key).context("ours")?;
        let mut peer = Server::start(&match self.peer {
            Peer::JavaScript { .. } => workers.peer(self.key)?,
            Peer::Floor { .. } => workers.floor(self.key, self.call.host_work, &our_response)?,
        })?;
        let peer_response = peer.request(&target, &body, &workers.api_key).context("the peer")?;
        self.check(&our_response, &peer_response)?;
        let turn = |server: &mut Server, duration| self.turn(server, duration, &workers.api_key);
        for server in [&mut ours, &mut peer] {
            turn(server, WARM_UP)?;
        }
        let (mut our_turns, mut peer_turns) = (Vec::new(), Vec::new());
        for _ in 0..effort.rounds {
            our_turns.push(turn(&mut ours, effort.turn)?);
            peer_turns.push(turn(&mut peer, effort.turn)?);
        }
        Ok(self.comparisons(&our_turns, &peer_turns))
    }

    /// Checks that both sides do the work that is measured.
    fn check(&self, ours: &str, peer: &str) -> Result<()> {
        match self.peer {
            Peer::JavaScript { .. } => {
                let read = |response: &str| {
                    let is_json = self.call.is_json;
                    let json =
                        is_json.then(|| serde_json::from_str(response).context("a response is not JSON"));
                    json.unwrap_or_else(|| Ok(response.into()))
                };
                (self.call.check)(&read(ours)?, &read(peer)?).map_err(anyhow::Error::msg)
            }
            Peer::Floor { .. } if ours == peer => Ok(()),
            Peer::Floor { .. } => bail!("the floor does not return our response, but {peer}"),
        }
    }

    /// Runs wrk for `duration`. Fails if a request was refused or had no response.
    fn turn(&self, server: &mut Server, duration: Duration, api_key: &str) -> Result<Turn> {
        let script = tempfile::Builder::new().suffix(".lua").tempfile()?;
        std::fs::write(script.path(), SCRIPT)?;
        let mut command = Command::new("wrk");
        command
            .args(["--threads", "1", "--timeout", "20s", "--connections"])
            .arg(self.connections.to_string());
        command.arg("--duration").arg(format!("{}s", duration.as_secs().max(1)));
        command.arg("--script").arg(script.path()).arg(server.url());
        command.args(["--", self.call.target, self.call.body, api_key]);
        let pid = server.pid();
        let before = cpu::time(pid);
        let printed =
            capture_ok(command).with_context(|| format!("output of workerd:\n{}", server.output()))?;
        let cpu = cpu::time(pid).zip(before).map(|(after, before)| after.saturating_sub(before));
        let wrk = parse(&printed)?;
        let WrkResult { requests, refused, broken, .. } = wrk;
        if refused > 0 || broken > 0 || requests == 0 {
            bail!(
                "of {requests} requests {refused} were refused and {broken} had no response; output of workerd:\n{}",
                server.output()
            );
        }
        Ok(Turn { wrk, cpu })
    }

    fn comparisons(&self, ours: &[Turn], peer: &[Turn]) -> Vec<Comparison> {
        let median_of =
            |turns: &[Turn], figure: fn(&Turn) -> f64| median(turns.iter().map(figure)).unwrap_or(f64::NAN);
        let latency = |turns: &[Turn]| Latency {
            p50: median_of(turns, |turn| millis(turn.wrk.p50)),
            p99: median_of(turns, |turn| millis(turn.wrk.p99)),
        };
        let speed = Comparison {
            name: self.name(),
            peer_name: self.peer.name(),
            ours: median_of(ours, Turn::requests_per_second),
            peer: median_of(peer, Turn::requests_per_second),
            unit: Unit::RequestsPerSecond,
            goal: self.peer.speed_goal(),
            latency: Some(Latencies { ours: latency(ours), peer: latency(peer) }),
        };
        let cpu = |turns: &[Turn]| median(turns.iter().filter_map(Turn::cpu_micros_per_request));
        let cost = cpu(ours).zip(cpu(peer)).map(|(ours, peer)| Comparison {
            name: format!("{}, processor time", self.name()),
            ours,
            peer,
            unit: Unit::CpuMicrosPerRequest,
            goal: self.peer.cost_goal(),
            latency: None,
            ..speed.clone()
        });
        [Some(speed), cost].into_iter().flatten().collect()
    }
}

impl Turn {
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are far below 2^52")]
    fn requests_per_second(&self) -> f64 {
        self.wrk.requests as f64 / Duration::from_micros(self.wrk.micros).as_secs_f64()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are far below 2^52")]
    fn cpu_micros_per_request(&self) -> Option<f64> {
        self.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / self.wrk.requests as f64)
    }
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1e3
}

/// Parses the last line of wrk's output, which the script prints.
fn parse(printed: &str) -> Result<WrkResult> {
    let line = printed.trim_end().lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("wrk printed no result:\n{printed}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Call, CdnKey, Goal, Load, Peer, Turn, WrkResult, parse};

    #[test]
    fn the_result_is_the_last_line() {
        let printed = "Running 2s test @ http://127.0.0.1:1\n  1 threads\n{\"requests\":10,\"micros\":5,\"p50\":1,\"p99\":2,\"refused\":0,\"broken\":3}\n";
        let WrkResult { requests, broken, .. } = parse(printed).unwrap();
        assert_eq!((requests, broken), (10, 3));
        assert!(parse("unable to connect\n").unwrap_err().to_string().contains("unable to connect"));
    }

    #[test]
    fn a_comparison_has_the_medians_of_the_turns() {
        let turn = |requests, p99| Turn {
            wrk: WrkResult { requests, micros: 2_000_000, p50: 1000, p99, refused: 0, broken: 0 },
            cpu: Some(Duration::from_secs(1)),
        };
        let call = Call::upload();
        let load = |peer| Load {
            call: &call,
            variant: ", a",
            key: CdnKey::Rsa,
            shared: false,
            connections: 32,
            peer,
        };
        let all = load(Peer::JavaScript { name: "peer", goal: Goal::AtLeast(2.0), cost: None })
            .comparisons(&[turn(20_000, 1), turn(2, 9000), turn(10_000, 3000)], &[turn(5000, 5000)]);
        let [speed, cost] = &all[..] else { panic!("{all:?}") };
        assert_eq!(speed.name, "POST /upload-url, a, c=32");
        assert!((speed.ours - 5000.0).abs() < 1e-6 && (speed.peer - 2500.0).abs() < 1e-6);
        assert!((speed.latency.unwrap().ours.p99 - 3.0).abs() < 1e-9);
        assert_ne!(cost.name, speed.name);
        assert!((cost.ours - 100.0).abs() < 1e-6 && (cost.ratio() - 2.0).abs() < 1e-6);
        assert_eq!((speed.met(), cost.met()), (Some(true), None));
        let all =
            load(Peer::Floor { goal: Goal::AtMost(1.5) }).comparisons(&[turn(5000, 1)], &[turn(10_000, 1)]);
        let [speed, cost] = &all[..] else { panic!("{all:?}") };
        assert_eq!(speed.name, "POST /upload-url, a, c=32, against the floor");
        assert!((cost.ratio() - 2.0).abs() < 1e-6);
        assert_eq!((speed.met(), cost.met()), (None, Some(false)));
    }
}
