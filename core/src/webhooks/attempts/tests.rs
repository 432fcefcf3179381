use proptest::prelude::*;
use streamio_events::id::MessageId;

use super::*;

const AMPLE: ReadLimits = ReadLimits { per_endpoint: 100, total: 10_000 };

fn key(project: usize, endpoint: usize, number: usize) -> DeliveryKey {
    DeliveryKey {
        project_id: format!("project-{project}").parse().unwrap(),
        webhook_id: WebhookId::derived_from(&[&project.to_be_bytes(), &endpoint.to_be_bytes()]),
        message_id: MessageId::derived_from(&[&number.to_string()]),
    }
}

/// The attempts, in the loop of `Webhooks::run`, with a store of what is due.
struct Platform {
    attempts: Attempts,
    limits: ReadLimits,
    due: BTreeMap<WebhookId, VecDeque<DeliveryKey>>,
    running: Vec<DeliveryKey>,
    must_read: bool,
    now: Duration,
}

impl Platform {
    fn new(limits: ReadLimits, due: impl IntoIterator<Item = DeliveryKey>) -> Self {
        let mut platform = Self {
            attempts: Attempts::default(),
            limits,
            due: BTreeMap::new(),
            running: Vec::new(),
            must_read: true,
            now: Duration::from_secs(1000),
        };
        due.into_iter().for_each(|key| platform.schedule(key));
        platform
    }

    /// A write that makes the delivery due, and the notification of it.
    fn schedule(&mut self, key: DeliveryKey) {
        let of_endpoint = self.due.entry(key.webhook_id.clone()).or_default();
        if !of_endpoint.contains(&key) {
            of_endpoint.push_back(key);
        }
        self.must_read = true;
    }

    fn is_due(&self, key: &DeliveryKey) -> bool {
        self.due.get(&key.webhook_id).is_some_and(|keys| keys.contains(key))
    }

    fn read(&self) -> Vec<DeliveryKey> {
        let ranks = 0..self.limits.per_endpoint;
        let by_rank = ranks.flat_map(|rank| self.due.values().filter_map(move |keys| keys.get(rank)));
        by_rank.take(self.limits.total).cloned().collect()
    }

    /// Goes through the loop once, up to its wait for an event. Returns what has begun.
    fn turn(&mut self) -> Vec<DeliveryKey> {
        if std::mem::take(&mut self.must_read) || self.attempts.needs_more(self.now) {
            self.attempts.set_due(self.read(), self.limits, self.now);
        }
        let started = self.attempts.start(self.now);
        self.running.extend(started.iter().cloned());
        started
    }

    /// The end of the attempt is recorded, if it is known.
    fn record(&mut self, key: &DeliveryKey, end: End) {
        let is_continued = matches!(end, End::Unknown | End::Blocked);
        if let Some(keys) = self.due.get_mut(&key.webhook_id).filter(|_| !is_continued) {
            keys.retain(|other| other != key);
        }
    }

    /// The loop receives the end of the attempt.
    fn receive(&mut self, key: &DeliveryKey, end: End) {
        self.running.retain(|other| other != key);
        if self.attempts.end(key, end, self.now) && self.is_due(key) {
            self.must_read = true;
        }
    }

    fn end(&mut self, key: &DeliveryKey, end: End) {
        self.record(key, end);
        self.receive(key, end);
        self.turn();
    }

    fn running_of(&self, project: usize) -> usize {
        let project_id = key(project, 0, 0).project_id;
        self.running.iter().filter(|key| key.project_id == project_id).count()
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// An attempt ends.
    End(usize, End),
    /// An attempt ends, and the message is scheduled again before the loop receives the end.
    Resend(usize),
    Schedule(usize, usize, usize),
    /// Time passes until an attempt may begin.
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        3 => Just(End::Succeeded), 2 => Just(End::Failed), 1 => Just(End::NotAttempted), 1 => Just(End::Unknown),
        1 => Just(End::Blocked)
    ];
    prop_oneof![
        4 => (any::<usize>(), end).prop_map(|(index, end)| Step::End(index, end)),
        1 => any::<usize>().prop_map(Step::Resend),
        1 => (0usize..3, 0usize..12, 0usize..50).prop_map(|(project, endpoint, number)| Step::Schedule(project, endpoint, number)),
        1 => Just(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No delivery is in progress twice, no endpoint and no project has more attempts than it may have, and all that is due is attempted
    /// without a further write or the regular look at the store.
    #[test]
    fn the_limits_hold_and_nothing_is_left(
        backlogs in prop::collection::vec((0usize..3, 0usize..12, 1usize..50), 1..16),
        steps in prop::collection::vec(step(), 0..60),
        per_endpoint in MAX_ATTEMPTS_PER_ENDPOINT + 1..2 * MAX_ATTEMPTS_PER_ENDPOINT,
        total in 1usize..120,
    ) {
        let due = backlogs.iter().flat_map(|(project, endpoint, count)| {
            (0..*count).map(|number| key(*project, *endpoint, number))
        });
        let mut platform = Platform::new(ReadLimits { per_endpoint, total }, due);
        platform.turn();
        for step in steps {
            match step {
                Step::End(index, end) if !platform.running.is_empty() => {
                    let ended = platform.running[index % platform.running.len()].clone();
                    platform.end(&ended, end);
                }
                Step::Resend(index) if !platform.running.is_empty() => {
                    let ended = platform.running[index % platform.running.len()].clone();
                    platform.record(&ended, End::Succeeded);
                    platform.schedule(ended.clone());
                    platform.turn();
                    platform.receive(&ended, End::Succeeded);
                    platform.turn();
                }
                Step::End(..) | Step::Resend(_) => {}
                Step::Schedule(project, endpoint, number) => {
                    platform.schedule(key(project, endpoint, number));
                    platform.turn();
                }
                Step::Wait => {
                    if let Some(at) = platform.attempts.next_start(platform.now) {
                        platform.now = at;
                        platform.turn();
                    }
                }
            }
            let different: HashSet<&DeliveryKey> = platform.running.iter().collect();
            prop_assert_eq!(different.len(), platform.running.len());
            let mut counts: HashMap<&WebhookId, usize> = HashMap::new();
            for key in &platform.running {
                *counts.entry(&key.webhook_id).or_default() += 1;
            }
            prop_assert!(counts.values().all(|count| *count <= MAX_ATTEMPTS_PER_ENDPOINT));
            prop_assert!((0..3).all(|project| platform.running_of(project) <= MAX_ATTEMPTS / 2));
            prop_assert!(platform.running.len() < MAX_ATTEMPTS);
        }
        loop {
            if let Some(key) = platform.running.first().cloned() {
                platform.end(&key, End::Succeeded);
            } else if let Some(at) = platform.attempts.next_start(platform.now) {
                platform.now = at;
                platform.turn();
            } else {
                break;
            }
        }
        prop_assert!(platform.due.values().all(VecDeque::is_empty), "left: {:?}", platform.due);
    }
}

/// Has all endpoints of the project that hang as many attempts as they may have, after one success each.
fn hanging(endpoints: usize) -> Platform {
    let due = (0..endpoints).flat_map(|endpoint| (0..100).map(move |number| key(0, endpoint, number)));
    let mut platform = Platform::new(AMPLE, due);
    let first = platform.turn();
    assert_eq!(first.len(), endpoints, "an unknown endpoint has one attempt");
    for key in first {
        platform.end(&key, End::Succeeded);
    }
    platform
}

#[test]
fn endpoints_that_hang_leave_attempts_to_other_projects() {
    let mut platform = hanging(20);
    assert_eq!(platform.running_of(0), MAX_ATTEMPTS / 2);
    for project in 1..8 {
        for endpoint in 0..20 {
            platform.schedule(key(project, endpoint, 0));
        }
        let started = platform.turn();
        let first = started.iter().any(|started| started.project_id == key(project, 0, 0).project_id);
        assert!(first, "project {project} has an attempt while {} are in progress", platform.running.len());
    }
}

#[test]
fn a_project_with_a_long_backlog_delays_another_by_one_turn() {
    let due = (0..20).flat_map(|endpoint| (0..16).map(move |number| key(0, endpoint, number)));
    let mut platform = Platform::new(AMPLE, due.chain([key(1, 0, 0)]));
    let started = platform.turn();
    assert!(started[..2].contains(&key(1, 0, 0)), "it is among the first two");
}

#[test]
fn a_broken_endpoint_has_one_attempt_at_a_time_until_one_succeeds() {
    let mut platform = hanging(1);
    assert_eq!(platform.running.len(), MAX_ATTEMPTS_PER_ENDPOINT);
    let mut failures = 0;
    while platform.running.len() > 1 {
        let key = platform.running[0].clone();
        platform.end(&key, End::Failed);
        failures += 1;
        assert!(failures < 40, "it still has {} attempts", platform.running.len());
    }
    let probe = platform.running[0].clone();
    platform.end(&probe, End::Failed);
    assert_eq!(platform.running.len(), 1);
    let probe = platform.running[0].clone();
    platform.end(&probe, End::NotAttempted);
    assert_eq!(platform.running.len(), 1, "no attempt was made");
    let probe = platform.running[0].clone();
    platform.end(&probe, End::Succeeded);
    assert_eq!(platform.running.len(), MAX_ATTEMPTS_PER_ENDPOINT);
}

#[test]
fn deliveries_that_end_without_an_attempt_do_not_break_an_endpoint() {
    let mut platform = hanging(1);
    for _ in 0..3 * FAILURES_OF_A_BROKEN_ENDPOINT {
        let key = platform.running[0].clone();
        platform.end(&key, End::NotAttempted);
    }
    assert_eq!(platform.running.len(), MAX_ATTEMPTS_PER_ENDPOINT);
}

#[test]
fn a_rate_limit_spreads_attempts_and_a_pause_delays_one() {
    let mut platform = Platform::new(AMPLE, (0..5).map(|number| key(0, 0, number)));
    let limited = key(0, 0, 0).webhook_id;
    platform.attempts.endpoints.entry(limited).or_default().interval = Some(Duration::from_millis(100));
    let first = platform.turn();
    assert_eq!(first.len(), 1);
    platform.end(&first[0], End::Succeeded);
    let next = platform.attempts.next_start(platform.now).unwrap();
    assert_eq!(next, platform.now + Duration::from_millis(100));
    assert!(platform.turn().is_empty());
    platform.now = next;
    let second = platform.turn();
    assert_eq!(second.len(), 1);
    platform.end(&second[0], End::Unknown);
    platform.now = next + Duration::from_secs(1);
    assert!(!platform.turn().contains(&second[0]), "it pauses");
}

#[test]
fn a_delivery_that_could_not_be_continued_is_continued_after_its_pause() {
    for (end, pause) in [(End::Unknown, PAUSE), (End::Blocked, BLOCKED_PAUSE)] {
        let mut platform = Platform::new(AMPLE, [key(0, 0, 0)]);
        assert_eq!(platform.turn(), [key(0, 0, 0)]);
        platform.end(&key(0, 0, 0), end);
        assert!(platform.running.is_empty(), "it pauses");
        let until = platform.attempts.next_start(platform.now).unwrap();
        assert_eq!(until, platform.now + pause);
        platform.now = until;
        assert_eq!(platform.turn(), [key(0, 0, 0)]);
    }
}

#[test]
fn limits_hold_for_messages_that_become_due_one_by_one() {
    let interval = Duration::from_secs(1);
    let mut platform = Platform::new(AMPLE, [key(0, 0, 0)]);
    platform.attempts.endpoints.entry(key(0, 0, 0).webhook_id).or_default().interval = Some(interval);
    assert_eq!(platform.turn(), [key(0, 0, 0)]);
    platform.end(&key(0, 0, 0), End::Succeeded);
    platform.must_read = true;
    platform.turn();
    platform.schedule(key(0, 0, 1));
    assert!(platform.turn().is_empty(), "the rate is limited");
    platform.now += interval;
    assert_eq!(platform.turn(), [key(0, 0, 1)]);

    let failing = |number| key(1, 0, number);
    for number in 0..FAILURES_OF_A_BROKEN_ENDPOINT as usize {
        platform.schedule(failing(number));
        assert_eq!(platform.turn(), [failing(number)]);
        platform.end(&failing(number), End::Failed);
        platform.must_read = true;
        platform.turn();
    }
    (10..20).for_each(|number| platform.schedule(failing(number)));
    assert_eq!(platform.turn().len(), 1, "the endpoint is broken");
}

#[test]
fn a_changed_rate_limit_counts_for_what_was_read_before() {
    let mut platform = hanging(1);
    let webhook_id = key(0, 0, 0).webhook_id;
    let mut endpoints = Endpoints::new(key(0, 0, 0).project_id);
    let new = streamio_events::webhook::endpoint::NewEndpoint {
        url: "https://hooks.example".to_owned(),
        types: vec!["*".parse().unwrap()],
        description: None,
        rate_limit: Some(1),
    };
    let registered = endpoints.register(&webhook_id, new).unwrap();
    let commit = streamio_events::commit::Commit::following(
        streamio_events::stream::StreamId::Webhooks(endpoints.project_id.clone()),
        streamio_events::commit::Head::EMPTY,
        streamio_events::commit::NewCommit::new(
            streamio_events::id::CommitId::derived_from(&["registered"]),
            streamio_events::timestamp::Timestamp::default(),
            registered,
        ),
    );
    endpoints.apply_commit(&commit).unwrap();
    platform.attempts.set_rate_limits(&endpoints);
    let running = platform.running.clone();
    for key in &running {
        platform.end(key, End::Succeeded);
    }
    assert_eq!(platform.running.len(), 1, "one in a second");
}

#[test]
fn what_a_rate_limit_leaves_is_spread_and_what_a_broken_endpoint_leaves_has_no_time() {
    let mut attempts = Attempts::default();
    let (now, interval) = (Duration::from_secs(1000), Duration::from_secs(2));
    let limited: Vec<DeliveryKey> = (0..3).map(|number| key(0, 0, number)).collect();
    let broken: Vec<DeliveryKey> = (0..3).map(|number| key(1, 0, number)).collect();
    let health =
        EndpointHealth { succeeded_at: Some(Timestamp::from_unix_seconds(0)), ..EndpointHealth::default() };
    attempts.learn(&limited[0].webhook_id, &health);
    attempts.set_due([limited.clone(), broken.clone()].concat(), AMPLE, now);
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
fn an_endpoint_is_as_broken_as_its_health_states() {
    let at = |seconds| Some(Timestamp::from_unix_seconds(seconds));
    let healthy = EndpointHealth { succeeded_at: at(0), ..EndpointHealth::default() };
    let failing = |until| EndpointHealth { failing_since: at(10), failed_at: at(until), ..healthy.clone() };
    for (health, attempts_at_once) in [
        (EndpointHealth::default(), 1),
        (healthy.clone(), MAX_ATTEMPTS_PER_ENDPOINT),
        (failing(39), MAX_ATTEMPTS_PER_ENDPOINT),
        (failing(40), 1),
    ] {
        let mut attempts = Attempts::default();
        attempts.learn(&key(0, 0, 0).webhook_id, &health);
        attempts.set_due((0..50).map(|number| key(0, 0, number)).collect(), AMPLE, Duration::ZERO);
        assert_eq!(attempts.start(Duration::ZERO).len(), attempts_at_once, "{health:?}");
    }
}

/// Messages become due one by one: what was learnt from one is known at the next.
#[test]
fn an_endpoint_is_known_for_a_while_after_its_last_attempt() {
    let mut attempts = Attempts::default();
    let one = key(0, 0, 0);
    attempts.set_due(vec![one.clone()], AMPLE, Duration::ZERO);
    assert_eq!(attempts.start(Duration::ZERO), std::slice::from_ref(&one));
    let _ = attempts.end(&one, End::Succeeded, Duration::ZERO);
    for (seconds, is_known) in [(10, true), (590, true), (601, false)] {
        let now = Duration::from_secs(seconds);
        attempts.set_due(vec![key(1, 1, 0)], AMPLE, now);
        assert_eq!(!attempts.is_unknown(&one.webhook_id), is_known, "after {seconds} s");
    }
}
