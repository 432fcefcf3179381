use proptest::prelude::*;
use streamio_events::id::MessageId;
use streamio_events::timestamp::Timestamp;

use super::*;

fn key(project: usize, endpoint: usize, number: usize) -> DeliveryKey {
    DeliveryKey {
        project_id: format!("project-{project}").parse().unwrap(),
        webhook_id: WebhookId::derived_from(&[&[
            u8::try_from(project).unwrap(),
            u8::try_from(endpoint).unwrap(),
        ]]),
        message_id: MessageId::derived_from(&[&number.to_string()]),
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Reads what is due.
    Read,
    Start,
    End(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Read),
        Just(Step::Start),
        (any::<usize>(), any::<bool>()).prop_map(|(index, failed)| Step::End(index, failed)),
    ]
}

proptest! {
    /// No delivery is in progress twice, no endpoint has more attempts than it may have, and nothing that may begin is left out.
    #[test]
    fn the_limits_hold_and_nothing_is_left(
        backlogs in prop::collection::vec((0usize..3, 0usize..3, 1usize..40), 1..8),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut waiting: Vec<DeliveryKey> = Vec::new();
        for (project, endpoint, count) in backlogs {
            waiting.extend((0..count).map(|number| key(project, endpoint, number)));
        }
        waiting.sort();
        waiting.dedup();
        let (mut attempts, mut running) = (Attempts::default(), Vec::<DeliveryKey>::new());
        let now = Duration::from_secs(1000);
        for step in steps {
            match step {
                Step::Read => {
                    attempts.set_due(waiting.clone(), usize::MAX, now);
                }
                Step::Start => {
                    for started in attempts.start(now) {
                        prop_assert!(waiting.contains(&started) && !running.contains(&started));
                        running.push(started);
                    }
                }
                Step::End(index, failed) if !running.is_empty() => {
                    let ended = running.swap_remove(index % running.len());
                    waiting.retain(|key| *key != ended);
                    attempts.end(&ended, if failed { End::Failed } else { End::Succeeded }, now);
                    // A view that is not up to date is read before the next start.
                    attempts.set_due(waiting.clone(), usize::MAX, now);
                }
                Step::End(..) => {}
            }
            let mut counts: HashMap<&WebhookId, usize> = HashMap::new();
            for key in &running {
                *counts.entry(&key.webhook_id).or_default() += 1;
            }
            prop_assert!(counts.values().all(|count| *count <= MAX_ATTEMPTS_PER_ENDPOINT));
        }
        attempts.set_due(waiting.clone(), usize::MAX, now);
        running.extend(attempts.start(now));
        for key in waiting.iter().filter(|key| !running.contains(key)) {
            let state = &attempts.endpoints[&key.webhook_id];
            prop_assert!(state.in_progress >= state.most(), "{key:?} could have begun");
        }
    }
}

#[test]
fn a_project_with_a_long_backlog_delays_another_by_one_turn() {
    let mut attempts = Attempts::default();
    let mut due: Vec<DeliveryKey> =
        (0..20).flat_map(|endpoint| (0..16).map(move |number| key(0, endpoint, number))).collect();
    due.push(key(1, 0, 0));
    let now = Duration::from_secs(1000);
    attempts.set_due(due, 100, now);
    let started = attempts.start(now);
    assert_eq!(started.len(), MAX_ATTEMPTS);
    assert!(started[..2].contains(&key(1, 0, 0)), "it is among the first two");
}

#[test]
fn a_broken_endpoint_has_one_attempt_at_a_time_until_one_succeeds() {
    let mut attempts = Attempts::default();
    let now = Duration::from_secs(1000);
    let due: Vec<DeliveryKey> = (0..40).map(|number| key(0, 0, number)).collect();
    attempts.set_due(due, 100, now);
    let first = attempts.start(now);
    assert_eq!(first.len(), MAX_ATTEMPTS_PER_ENDPOINT);
    for key in &first {
        attempts.end(key, End::Failed, now);
    }
    let probe = attempts.start(now);
    assert_eq!(probe.len(), 1);
    assert!(attempts.start(now).is_empty());
    attempts.end(&probe[0], End::Succeeded, now);
    assert_eq!(attempts.start(now).len(), MAX_ATTEMPTS_PER_ENDPOINT);
}

#[test]
fn a_rate_limit_spreads_attempts_and_a_pause_delays_one() {
    let mut attempts = Attempts::default();
    let now = Duration::from_secs(1000);
    attempts.set_due((0..5).map(|number| key(0, 0, number)).collect(), 100, now);
    let limited = key(0, 0, 0).webhook_id;
    attempts.endpoints.entry(limited).or_default().interval = Some(Duration::from_millis(100));
    assert_eq!(attempts.start(now).len(), 1);
    let next = attempts.next_start(now).unwrap();
    assert_eq!(next, now + Duration::from_millis(100));
    assert!(attempts.start(now + Duration::from_millis(99)).is_empty());
    let second = attempts.start(next);
    assert_eq!(second.len(), 1);
    attempts.end(&second[0], End::Unknown, next);
    attempts.set_due(second.clone(), 100, next);
    assert!(attempts.start(next + Duration::from_secs(1)).is_empty(), "it pauses");
    assert_eq!(attempts.start(next + PAUSE), second);
}

#[test]
fn limits_hold_for_messages_that_become_due_one_by_one() {
    let mut attempts = Attempts::default();
    let now = Duration::from_secs(1000);
    let interval = Duration::from_secs(1);
    attempts.set_due(vec![key(0, 0, 0)], 100, now);
    attempts.endpoints.entry(key(0, 0, 0).webhook_id).or_default().interval = Some(interval);
    assert_eq!(attempts.start(now), [key(0, 0, 0)]);
    attempts.end(&key(0, 0, 0), End::Succeeded, now);
    attempts.set_due(vec![], 100, now);
    attempts.set_due(vec![key(0, 0, 1)], 100, now);
    assert!(attempts.start(now).is_empty(), "the rate is limited");
    assert_eq!(attempts.start(now + interval), [key(0, 0, 1)]);

    let failing = |number| key(1, 0, number);
    for number in 0..FAILURES_OF_A_BROKEN_ENDPOINT as usize {
        attempts.set_due(vec![failing(number)], 100, now);
        assert_eq!(attempts.start(now), [failing(number)]);
        attempts.end(&failing(number), End::Failed, now);
        attempts.set_due(vec![], 100, now);
    }
    attempts.set_due((10..20).map(failing).collect(), 100, now);
    assert_eq!(attempts.start(now).len(), 1, "the endpoint is broken");
}

#[test]
fn what_a_rate_limit_leaves_is_spread_and_what_a_broken_endpoint_leaves_has_no_time() {
    let mut attempts = Attempts::default();
    let (now, interval) = (Duration::from_secs(1000), Duration::from_secs(2));
    let limited: Vec<DeliveryKey> = (0..3).map(|number| key(0, 0, number)).collect();
    let broken: Vec<DeliveryKey> = (0..3).map(|number| key(1, 0, number)).collect();
    let health = EndpointHealth {
        failing_since: Some(Timestamp::from_unix_seconds(0)),
        failed_at: Some(Timestamp::from_unix_seconds(30)),
        ..EndpointHealth::default()
    };
    attempts.learn(&broken[0].webhook_id, &health);
    attempts.set_due([limited.clone(), broken.clone()].concat(), 100, now);
    attempts.endpoints.entry(limited[0].webhook_id.clone()).or_default().interval = Some(interval);
    let mut started = attempts.start(now);
    started.sort();
    let mut first = vec![limited[0].clone(), broken[0].clone()];
    first.sort();
    assert_eq!(started, first, "a broken endpoint gets one");
    let left = attempts.take_left(now);
    let at = |key: &DeliveryKey| left.iter().find(|left| left.key == *key).unwrap().at;
    assert_eq!((at(&limited[1]), at(&limited[2])), (Some(now + interval), Some(now + 2 * interval)));
    assert_eq!((at(&broken[1]), at(&broken[2]), left.len()), (None, None, 4));
    assert!(attempts.start(now + interval).is_empty(), "nothing is due any more");
}

#[test]
fn an_endpoint_that_has_just_begun_to_fail_is_not_broken() {
    let mut attempts = Attempts::default();
    let health = EndpointHealth {
        failing_since: Some(Timestamp::from_unix_seconds(0)),
        failed_at: Some(Timestamp::from_unix_seconds(29)),
        ..EndpointHealth::default()
    };
    attempts.learn(&key(0, 0, 0).webhook_id, &health);
    assert!(attempts.is_unknown(&key(0, 0, 0).webhook_id));
}
