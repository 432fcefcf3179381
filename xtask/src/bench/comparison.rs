//! The comparison of one figure of Streamio with the peer's.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A figure of ours and of the peer, measured in the same way in the same run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison {
    /// What was measured.
    pub(super) name: String,
    /// What ours is compared with.
    pub(super) peer_name: &'static str,
    pub(super) ours: f64,
    pub(super) peer: f64,
    pub(super) unit: Unit,
    pub(super) goal: Option<Goal>,
    /// The latencies of single requests, if requests were measured.
    pub(super) latency: Option<Latencies>,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// More is better.
    RequestsPerSecond,
    /// More is better.
    EventsPerSecond,
    /// More is better.
    DeliveriesPerSecond,
    /// Wall-clock time of one operation; less is better.
    MicrosPerOperation,
    /// Processor time of the whole process per request; less is better.
    CpuMicrosPerRequest,
    /// Wall-clock time; less is better.
    Millis,
    /// Millions of bytes; less is better.
    Megabytes,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests/s",
            Self::EventsPerSecond => "events/s",
            Self::DeliveriesPerSecond => "deliveries/s",
            Self::MicrosPerOperation => "µs/operation",
            Self::CpuMicrosPerRequest => "CPU µs/request",
            Self::Millis => "ms",
            Self::Megabytes => "MB",
        }
    }
}

/// The bound of a ratio or of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Goal {
    /// Ours is at least this many times as fast.
    AtLeast(f64),
    /// Ours takes at most this many times as long.
    AtMost(f64),
    /// Our figure is at most this, in its unit. The peer's figure does not matter.
    Within(f64),
    /// Our figure is at least this, in its unit. The peer's figure does not matter.
    Reach(f64),
}

impl Goal {
    /// Returns the number of the bound.
    pub(super) fn number(self) -> f64 {
        match self {
            Self::AtLeast(number) | Self::AtMost(number) | Self::Within(number) | Self::Reach(number) => {
                number
            }
        }
    }

    fn bound(self) -> &'static str {
        match self {
            Self::AtLeast(_) => "at least",
            Self::AtMost(_) => "at most",
            Self::Within(_) => "within",
            Self::Reach(_) => "reach",
        }
    }
}

/// Latencies of the requests of a load in milliseconds, each the median of the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// The latencies of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latencies {
    pub(super) ours: Latency,
    pub(super) peer: Latency,
}

impl Comparison {
    /// Returns how many times as fast ours is. If the goal bounds a cost, returns how many times as much ours costs.
    pub(super) fn ratio(&self) -> f64 {
        let more_is_better =
            matches!(self.unit, Unit::RequestsPerSecond | Unit::EventsPerSecond | Unit::DeliveriesPerSecond);
        let times_as_fast = if more_is_better { self.ours / self.peer } else { self.peer / self.ours };
        if matches!(self.goal, Some(Goal::AtMost(_) | Goal::Within(_))) {
            1.0 / times_as_fast
        } else {
            times_as_fast
        }
    }

    /// Returns the value that the goal bounds: our figure for [`Goal::Within`] and [`Goal::Reach`], else the ratio.
    pub(super) fn bounded_value(&self) -> f64 {
        if matches!(self.goal, Some(Goal::Within(_) | Goal::Reach(_))) { self.ours } else { self.ratio() }
    }

    /// Returns whether the goal is met, or `None` if there is no goal.
    pub(super) fn met(&self) -> Option<bool> {
        let ratio = self.ratio();
        // NaN, an infinite ratio and a cost of zero come from a failed measurement, so they meet no goal.
        self.goal.map(|goal| match goal {
            Goal::AtLeast(number) => ratio.is_finite() && ratio >= number,
            Goal::AtMost(number) => ratio > 0.0 && ratio <= number,
            Goal::Within(number) => self.ours > 0.0 && self.ours <= number,
            Goal::Reach(number) => self.ours.is_finite() && self.ours >= number,
        })
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("ours", &self.ours)?;
        map.serialize_entry("peer", &self.peer)?;
        map.serialize_entry("unit", self.unit.name())?;
        map.serialize_entry("ratio", &self.ratio())?;
        map.serialize_entry("goal", &self.goal.map(Goal::number))?;
        map.serialize_entry("bound", &self.goal.map(Goal::bound))?;
        map.serialize_entry("met", &self.met())?;
        map.serialize_entry("peerName", self.peer_name)?;
        map.serialize_entry("latencyMs", &self.latency)?;
        map.end()
    }
}

#[cfg(test)]
impl Comparison {
    /// Returns a comparison `x` with the peer `y`, for tests.
    pub(super) fn sample(ours: f64, peer: f64, unit: Unit, goal: Option<Goal>) -> Self {
        Self { name: "x".into(), peer_name: "y", ours, peer, unit, goal, latency: None }
    }
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Goal, Unit};

    #[test]
    fn a_ratio_above_one_means_that_ours_is_faster_in_every_unit() {
        let ratio = |unit, ours, peer| Comparison::sample(ours, peer, unit, None).ratio();
        assert!((ratio(Unit::RequestsPerSecond, 300.0, 100.0) - 3.0).abs() < 1e-9);
        assert!((ratio(Unit::MicrosPerOperation, 100.0, 300.0) - 3.0).abs() < 1e-9);
        assert!((ratio(Unit::CpuMicrosPerRequest, 300.0, 100.0) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_ratio_of_a_bounded_cost_is_a_multiple_of_the_peers_cost() {
        let start = |ours| Comparison::sample(ours, 20.0, Unit::Millis, Some(Goal::AtMost(1.4)));
        assert!((start(26.0).ratio() - 1.3).abs() < 1e-9);
        assert_eq!((start(26.0).met(), start(29.0).met()), (Some(true), Some(false)));
    }

    #[test]
    fn a_goal_within_a_limit_applies_to_our_figure_and_the_ratio_is_still_reported() {
        let size = |ours| Comparison::sample(ours, 3.0, Unit::Megabytes, Some(Goal::Within(12.0)));
        assert!((size(9.0).ratio() - 3.0).abs() < 1e-9);
        assert_eq!((size(12.0).met(), size(12.1).met()), (Some(true), Some(false)));
    }

    #[test]
    fn a_figure_to_reach_is_ours() {
        let rate = |ours| Comparison::sample(ours, 9.0, Unit::EventsPerSecond, Some(Goal::Reach(60.0)));
        assert_eq!(
            (rate(60.0).met(), rate(59.0).met(), rate(f64::NAN).met()),
            (Some(true), Some(false), Some(false))
        );
        assert!((rate(18.0).ratio() - 2.0).abs() < 1e-9 && (rate(18.0).bounded_value() - 18.0).abs() < 1e-9);
    }

    #[test]
    fn an_invalid_figure_meets_no_goal() {
        let goal = Some(Goal::AtLeast(0.0));
        assert_eq!(Comparison::sample(0.0, 0.0, Unit::RequestsPerSecond, goal).met(), Some(false));
        assert_eq!(Comparison::sample(0.0, 1.0, Unit::MicrosPerOperation, goal).met(), Some(false));
        let within = Some(Goal::Within(12.0));
        assert_eq!(Comparison::sample(0.0, 1.0, Unit::Megabytes, within).met(), Some(false));
        assert_eq!(Comparison::sample(f64::NAN, 1.0, Unit::Megabytes, within).met(), Some(false));
        let bound = Some(Goal::AtMost(1.4));
        assert_eq!(Comparison::sample(0.0, 1.0, Unit::Millis, bound).met(), Some(false));
        assert_eq!(Comparison::sample(1.0, 1.0, Unit::Millis, None).met(), None);
    }

    #[test]
    fn the_json_has_the_documented_members() {
        let json = serde_json::to_value(Comparison::sample(
            30.0,
            10.0,
            Unit::RequestsPerSecond,
            Some(Goal::AtLeast(2.0)),
        ))
        .unwrap();
        for (name, value) in [
            ("name", "x".into()),
            ("ours", 30.0.into()),
            ("peer", 10.0.into()),
            ("unit", "requests/s".into()),
            ("ratio", 3.0.into()),
            ("goal", serde_json::Value::from(2.0)),
            ("bound", "at least".into()),
            ("met", true.into()),
        ] {
            assert_eq!(json[name], value, "{name}");
        }
    }
}
