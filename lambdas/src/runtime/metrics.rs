//! `CloudWatch` metrics of a function, written to its log in the embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>),
//! one object per line.

use std::time::Duration;

use serde_json::{Value, json};
use streamio_events::timestamp::Timestamp;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Streamio";

/// The results of the records, or of the requests, of one invocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handled successfully.
    pub handled: usize,
    /// Failed; the event source retries them.
    pub failed: usize,
    /// Stored as dead letters.
    pub dead_lettered: usize,
}

/// One invocation of a function.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The function: the dimension of the metrics.
    pub function: &'a str,
    /// The request id, which its other log lines have too.
    pub request_id: &'a str,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The counts.
    pub counts: Counts,
    /// For how long the oldest work that was due has waited for the platform; `None` if the function does not know.
    pub oldest_wait: Option<Duration>,
}

impl Invocation<'_> {
    /// The line, without the line break.
    pub fn line(&self) -> String {
        let metric = |name: &str, unit: &str| json!({ "Name": name, "Unit": unit });
        let Counts { handled, failed, dead_lettered } = self.counts;
        let mut metrics = vec![
            metric("Handled", "Count"),
            metric("Failed", "Count"),
            metric("DeadLettered", "Count"),
            metric("Duration", "Milliseconds"),
        ];
        metrics.extend(self.oldest_wait.map(|_| metric("OldestWait", "Seconds")));
        let mut line = json!({
            "_aws": {
                "Timestamp": self.at.unix_millis(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Function"]],
                    "Metrics": metrics,
                }],
            },
            "Function": self.function,
            "Handled": handled,
            "Failed": failed,
            "DeadLettered": dead_lettered,
            "requestId": self.request_id,
        });
        line["Duration"] = Value::from(self.duration.as_secs_f64() * 1000.0);
        if let Some(oldest_wait) = self.oldest_wait {
            line["OldestWait"] = Value::from(oldest_wait.as_secs_f64());
        }
        line.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_of_an_invocation_are_one_line() {
        let invocation = Invocation {
            function: "intake",
            request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            at: Timestamp::from_unix_millis(1_767_323_045_678),
            duration: Duration::from_micros(12_500),
            counts: Counts { handled: 97, failed: 2, dead_lettered: 1 },
            oldest_wait: None,
        };
        let line = invocation.line();
        assert!(!line.contains('\n'));
        insta::assert_json_snapshot!(serde_json::from_str::<Value>(&line).unwrap(), @r#"
        {
          "DeadLettered": 1,
          "Duration": 12.5,
          "Failed": 2,
          "Function": "intake",
          "Handled": 97,
          "_aws": {
            "CloudWatchMetrics": [
              {
                "Dimensions": [
                  [
                    "Function"
                  ]
                ],
                "Metrics": [
                  {
                    "Name": "Handled",
                    "Unit": "Count"
                  },
                  {
                    "Name": "Failed",
                    "Unit": "Count"
                  },
                  {
                    "Name": "DeadLettered",
                    "Unit": "Count"
                  },
                  {
                    "Name": "Duration",
                    "Unit": "Milliseconds"
                  }
                ],
                "Namespace": "Streamio"
              }
            ],
            "Timestamp": 1767323045678
          },
          "requestId": "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
        }
        "#);
        let waits = Invocation { oldest_wait: Some(Duration::from_millis(90_500)), ..invocation };
        let line: Value = serde_json::from_str(&waits.line()).unwrap();
        assert_eq!(line["OldestWait"], 90.5);
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        assert_eq!(metrics.last(), Some(&json!({ "Name": "OldestWait", "Unit": "Seconds" })));
    }
}
