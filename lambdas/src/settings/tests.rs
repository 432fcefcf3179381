use std::collections::HashMap;

use super::*;

fn read_from<S: Section>(variables: &[(&str, &str)]) -> Result<S, InvalidSettings> {
    let variables: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    read(&|name| variables.get(name).cloned())
}

fn lines(invalid: &InvalidSettings) -> String {
    let lines: Vec<String> =
        invalid.problems.iter().map(|(name, reason)| format!("{name} {reason}")).collect();
    lines.join("\n")
}

#[test]
fn every_problem_is_reported_at_once_and_only_once() {
    let refused = read_from::<(Ledger, Views, Policy, Ecs, Kv, GiveUp)>(&[
        ("STREAMIO_VIEWS_TABLE", "views"),
        ("STREAMIO_ECS_CLUSTER", "  "),
        ("STREAMIO_ECS_SUBNETS", " , "),
        ("STREAMIO_KV_API_TOKEN", "a-hidden-token"),
        ("STREAMIO_POLICY", r#"{"silence": 5, "relaunched": 1}"#),
        ("STREAMIO_GIVE_UP_AFTER", "soon"),
    ])
    .unwrap_err();
    insta::assert_snapshot!(lines(&refused), @r#"
    STREAMIO_LEDGER_TABLE is missing
    STREAMIO_RAW_BUCKET is missing
    STREAMIO_PROCESSED_BUCKET is missing
    STREAMIO_POLICY cannot be read: unknown field `relaunched`, expected one of `limits`, `projectLimits`, `maxFailures`, `retryPause`, `longestRetryPause`, `relaunchAfter`, `startWithin`, `silence`, `publishWithin`, `publishDeadline`, `grantGrace`, `grantWait`, `clockTolerance`, `clockStep`, `rejectedRetention` at line 1 column 27
    STREAMIO_ECS_CLUSTER is missing
    STREAMIO_ECS_TASK_DEFINITION is missing
    STREAMIO_ECS_SUBNETS has no item
    STREAMIO_ECS_SECURITY_GROUPS is missing
    STREAMIO_KV_ACCOUNT_ID is missing
    STREAMIO_KV_NAMESPACE_ID is missing
    STREAMIO_GIVE_UP_AFTER must be a whole number of seconds
    "#);
    let twice = read_from::<(Ledger, Ledger)>(&[]).unwrap_err();
    assert_eq!(twice.to_string(), "the settings are invalid: STREAMIO_LEDGER_TABLE is missing");
}

#[test]
fn sections_that_are_not_read_may_be_missing() {
    let (ledger, give_up): (Ledger, GiveUp) = read_from(&[("STREAMIO_LEDGER_TABLE", "ledger")]).unwrap();
    assert_eq!(ledger.table, "ledger");
    assert_eq!(give_up, GiveUp { reactions: Duration::from_mins(10), records: Duration::from_hours(12) });
}

#[test]
fn lists_are_comma_separated_and_defaults_are_as_documented() {
    let ecs: Ecs = read_from(&[
        ("STREAMIO_ECS_CLUSTER", "media"),
        ("STREAMIO_ECS_TASK_DEFINITION", "worker:3"),
        ("STREAMIO_ECS_SUBNETS", "subnet-1, subnet-2,"),
        ("STREAMIO_ECS_SECURITY_GROUPS", "sg-1"),
    ])
    .unwrap();
    assert_eq!(ecs.subnets, ["subnet-1", "subnet-2"]);
    assert_eq!(ecs.security_groups, ["sg-1"]);
    assert_eq!((ecs.container.as_str(), ecs.capacity_provider.as_str()), ("worker", "FARGATE_SPOT"));
    let styles = [("1", Some(true)), ("true", Some(true)), ("0", Some(false)), ("yes", None)];
    for (value, expected) in styles {
        let s3 = read_from::<S3>(&[("STREAMIO_S3_PATH_STYLE", value)]).ok();
        assert_eq!(s3.map(|s3| s3.path_style), expected, "{value}");
    }
}

#[test]
fn a_policy_has_the_defaults_except_for_the_named_fields() {
    let buckets = [("STREAMIO_RAW_BUCKET", "raw"), ("STREAMIO_PROCESSED_BUCKET", "processed")];
    assert_eq!(read_from::<Policy>(&buckets).unwrap(), Policy::new("raw", "processed"));
    let json = r#"{"silence": 0.5, "maxFailures": 7, "grantGrace": 0, "grantWait": 1, "clockTolerance": 0.1, "clockStep": 2,
        "rejectedRetention": 60}"#;
    let policy: Policy = read_from(&[&buckets[..], &[("STREAMIO_POLICY", json)]].concat()).unwrap();
    let expected = Policy {
        heartbeat_timeout: Duration::from_millis(500),
        max_failures: 7,
        grant_grace: Duration::ZERO,
        grant_wait: Duration::from_secs(1),
        clock_tolerance: Duration::from_millis(100),
        clock_step: Duration::from_secs(2),
        rejected_retention: Duration::from_mins(1),
        ..Policy::new("raw", "processed")
    };
    assert_eq!(policy, expected);
    for wrong in [r#"{"silence": -1}"#, r#"{"silence": "1"}"#, "{"] {
        read_from::<Policy>(&[&buckets[..], &[("STREAMIO_POLICY", wrong)]].concat()).unwrap_err();
    }
}

#[test]
fn a_secret_is_never_printed() {
    let kv: Kv = read_from(&[
        ("STREAMIO_KV_ACCOUNT_ID", "account"),
        ("STREAMIO_KV_NAMESPACE_ID", "namespace"),
        ("STREAMIO_KV_API_TOKEN", "a-hidden-token"),
    ])
    .unwrap();
    assert_eq!(kv.api_token.reveal(), "a-hidden-token");
    assert_eq!(kv.endpoint, "https://api.cloudflare.com");
    assert!(!format!("{kv:?}").contains("hidden"), "{kv:?}");
}
