//! The resolution of names: one look-up for each request, and no connection to an address that is not allowed, whatever a name server says.

use std::net::IpAddr;
use std::sync::Arc;

use streamio_core::ports::webhook_sender::WebhookSender as _;
use streamio_core::webhooks::http_sender::{HttpSender, SenderRules};
use streamio_events::webhook::endpoint_url::Rules;
use streamio_events::webhook::exchange::ErrorClass;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::certificates::Authority;
use crate::fixtures::{
    AMPLE, Answers, V4, accept, answer, assert_untouched, class, listen, listen_on_both, listen_on_one,
    local_sender, other, read_request, request,
};
use crate::tls::serve_tls;

/// A sender for which [`other`] is on the public internet and [`V4`] is this machine.
fn sender(authority: &Authority, port: u16, resolver: Arc<Answers>) -> HttpSender {
    let urls = Rules { ports: vec![port], networks: vec![other().into()], loopback: true };
    HttpSender::new(SenderRules { urls, extra_roots: authority.pem(), limits: AMPLE }, resolver).unwrap()
}

/// Sends a request to `hooks.example`, serves it at `public` and returns the status.
async fn send(sender: &HttpSender, public: &TcpListener, authority: &Authority, port: u16) -> u16 {
    let identity = authority.for_names(&["hooks.example"]);
    let sent = sender.send(request(&format!("https://hooks.example:{port}/")));
    let (exchange, ()) = tokio::join!(sent, serve_tls(public, &identity));
    answer(exchange).status
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_a_request() {
    let authority = Authority::new();
    let (private, public, port) = listen_on_both().await;
    // A name server that gives a public address to whatever checks it, and this machine's to whatever connects afterwards.
    let resolver = Answers::new(&[&[other()], &[V4]]);
    let sender = sender(&authority, port, resolver.clone());
    assert_eq!(send(&sender, &public, &authority, port).await, 200);
    assert_eq!(resolver.names(), ["hooks.example"]);
    // The next request has its own look-up, which is checked again.
    let second = sender.send(request(&format!("https://hooks.example:{port}/"))).await;
    assert_eq!(class(second), ErrorClass::AddressRefused);
    assert_untouched(&private).await;
    assert_untouched(&public).await;
}

#[tokio::test]
async fn nothing_is_looked_up_again_when_a_connection_fails() {
    let authority = Authority::new();
    let (private, _public, port) = listen_on_one(V4, other()).await;
    let resolver = Answers::new(&[&[other()], &[V4]]);
    let exchange = sender(&authority, port, resolver.clone())
        .send(request(&format!("https://hooks.example:{port}/")))
        .await;
    assert_eq!(class(exchange), ErrorClass::ConnectFailed);
    assert_eq!(resolver.names().len(), 1);
    assert_untouched(&private).await;
}

#[tokio::test]
async fn of_public_and_private_addresses_only_the_public_ones_are_tried() {
    let authority = Authority::new();
    let (private, public, port) = listen_on_both().await;
    for addresses in [[V4, other()], [other(), V4]] {
        let sender = sender(&authority, port, Answers::new(&[&addresses]));
        assert_eq!(send(&sender, &public, &authority, port).await, 200, "{addresses:?}");
    }
    assert_untouched(&private).await;
    let (private, _public, port) = listen_on_one(V4, other()).await;
    let sender = sender(&authority, port, Answers::new(&[&[other(), V4]]));
    let exchange = sender.send(request(&format!("https://hooks.example:{port}/"))).await;
    assert_eq!(class(exchange), ErrorClass::ConnectFailed);
    assert_untouched(&private).await;
}

#[tokio::test]
async fn a_name_without_an_allowed_address_is_refused() {
    let authority = Authority::new();
    let (private, port) = listen().await;
    for address in [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "100.64.0.1",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        let address: IpAddr = address.parse().unwrap();
        let exchange = sender(&authority, port, Answers::new(&[&[address]]))
            .send(request(&format!("https://hooks.example:{port}/")))
            .await;
        assert_eq!(class(exchange), ErrorClass::AddressRefused, "{address}");
    }
    assert_untouched(&private).await;
}

#[tokio::test]
async fn a_name_without_addresses_is_not_resolved() {
    let authority = Authority::new();
    for resolver in [Answers::new(&[]), Answers::new(&[&[]])] {
        let exchange = sender(&authority, 443, resolver).send(request("https://hooks.example/")).await;
        assert_eq!(class(exchange), ErrorClass::NameNotResolved);
    }
}

#[tokio::test]
async fn localhost_is_not_looked_up() {
    let (listener, port) = listen().await;
    let served = async {
        let mut stream = accept(&listener).await;
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    };
    // The resolver of this sender knows no name.
    let sender = local_sender(AMPLE);
    let (exchange, ()) = tokio::join!(sender.send(request(&format!("http://localhost:{port}/"))), served);
    assert_eq!(answer(exchange).status, 204);
}
