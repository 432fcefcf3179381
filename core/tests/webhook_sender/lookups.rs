//! Names whose name servers do not answer.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use streamio_core::ports::webhook_sender::WebhookSender as _;
use streamio_core::webhooks::http_sender::{HttpSender, Limits, LookupPermit, Resolver, SenderRules};
use streamio_events::webhook::exchange::ErrorClass;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fixtures::{AMPLE, V4, class, request_of};

/// A resolver that never finishes the look-up of `silent.example` before [`Self::end_all`]. It keeps the permits, as a thread that waits
/// for name servers does after its exchange has ended. Other names lead to a private address, to which nothing connects.
#[derive(Default)]
struct Silent {
    unfinished: Mutex<Vec<LookupPermit>>,
}

impl Silent {
    fn unfinished(&self) -> usize {
        self.unfinished.lock().unwrap().len()
    }

    fn end_all(&self) {
        self.unfinished.lock().unwrap().clear();
    }
}

#[async_trait]
impl Resolver for Silent {
    async fn resolve(&self, name: &str, permit: LookupPermit) -> io::Result<Vec<IpAddr>> {
        if name == "silent.example" {
            self.unfinished.lock().unwrap().push(permit);
            std::future::pending::<()>().await;
        }
        Ok(vec![V4])
    }
}

fn sender(limits: Limits) -> (Arc<HttpSender>, Arc<Silent>) {
    let resolver = Arc::new(Silent::default());
    let rules = SenderRules { limits, ..SenderRules::default() };
    (Arc::new(HttpSender::new(rules, resolver.clone()).unwrap()), resolver)
}

/// Begins exchanges of `project` with a host whose name servers do not answer, until its share of the look-ups is in use.
async fn use_up(sender: &Arc<HttpSender>, resolver: &Silent, project: &'static str) -> JoinSet<()> {
    let mut exchanges = JoinSet::new();
    for _ in 0..300 {
        let sender = Arc::clone(sender);
        exchanges.spawn(async move {
            sender.send(request_of(project, "https://silent.example/")).await;
        });
    }
    while resolver.unfinished() < 16 {
        tokio::task::yield_now().await;
    }
    exchanges
}

#[tokio::test]
async fn names_of_one_project_that_do_not_resolve_delay_no_look_up_of_another() {
    let (sender, resolver) = sender(AMPLE);
    let _exchanges = use_up(&sender, &resolver, "acme").await;
    let other = sender.send(request_of("zebra", "https://hooks.example/")).await;
    assert_eq!(class(other), ErrorClass::AddressRefused, "its name was looked up");
    assert_eq!(resolver.unfinished(), 16, "the share of one project");
}

#[tokio::test]
async fn a_request_that_has_to_begin_soon_does_not_wait_for_other_look_ups_for_ever() {
    let (sender, resolver) = sender(AMPLE);
    let mut exchanges = use_up(&sender, &resolver, "acme").await;
    exchanges.shutdown().await;
    let sender = Arc::into_inner(sender).unwrap().with_permit_within(Duration::from_millis(50));
    assert_eq!(sender.send_soon(request_of("acme", "https://hooks.example/")).await, None);
    let other = sender.send_soon(request_of("zebra", "https://hooks.example/")).await;
    assert_eq!(class(other.unwrap()), ErrorClass::AddressRefused);
    resolver.end_all();
    let begun = sender
        .with_permit_within(AMPLE.exchange)
        .send_soon(request_of("acme", "https://hooks.example/"))
        .await;
    assert_eq!(class(begun.unwrap()), ErrorClass::AddressRefused);
}

/// How long a limit must be for an exchange to end within it depends on the machine: it is repeated with longer ones.
#[tokio::test]
async fn the_wait_for_a_look_up_of_the_platform_is_not_a_failure_of_the_endpoint() {
    for power in 0..10 {
        let exchange = Duration::from_millis(50) * 2_u32.pow(power);
        let (sender, resolver) = sender(Limits { exchange, connect: exchange });
        use_up(&sender, &resolver, "acme").await.shutdown().await;
        let mut sent = Box::pin(sender.send(request_of("acme", "https://hooks.example/")));
        let early = timeout(exchange * 3, &mut sent).await;
        assert!(early.is_err(), "it ended while it waited for the platform: {early:?}");
        resolver.end_all();
        let ended = sent.await;
        if u128::from(ended.duration_milliseconds) < exchange.as_millis() {
            assert_eq!(class(ended), ErrorClass::AddressRefused);
            return;
        }
    }
    panic!("no exchange ended within its limit");
}
