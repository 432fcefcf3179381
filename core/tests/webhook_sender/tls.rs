//! HTTPS: which certificates are accepted, and what is reported of the others.

use std::sync::Arc;

use ipnet::IpNet;
use rcgen::{BasicConstraints, IsCa};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use streamio_core::ports::webhook_sender::WebhookSender as _;
use streamio_core::webhooks::http_sender::{HttpSender, Limits, SenderError, SenderRules};
use streamio_events::webhook::endpoint_url::Rules;
use streamio_events::webhook::exchange::{ErrorClass, Exchange};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Authority, Identity};
use crate::fixtures::{
    AMPLE, Answers, V4, accept, answer, class, error, listen, listen_on_one, other, read_request, request,
    until_closed,
};

/// A sender whose operator allows loopback addresses as if they were a network of its own, so that names can be tested.
pub(crate) fn names_sender(
    authority: &Authority,
    port: u16,
    limits: Limits,
    resolver: Arc<Answers>,
) -> HttpSender {
    let networks = [V4, other()].map(IpNet::from).to_vec();
    let urls = Rules { ports: vec![port], networks, loopback: false };
    HttpSender::new(SenderRules { urls, extra_roots: authority.pem(), limits }, resolver).unwrap()
}

/// Serves one connection with TLS, as far as it comes, and answers its request with 200.
pub(crate) async fn serve_tls(listener: &TcpListener, identity: &Identity) {
    serve_config(listener, identity.server()).await;
}

async fn serve_config(listener: &TcpListener, config: ServerConfig) {
    let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(accept(listener).await).await else {
        return;
    };
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    read_request(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    let _ = stream.shutdown().await;
}

/// Sends a request to `host`, which is served with `config`, from a sender that trusts `authority`.
async fn exchange(authority: &Authority, host: &str, config: ServerConfig) -> Exchange {
    let (listener, port) = listen().await;
    let sender = names_sender(authority, port, AMPLE, Answers::new(&[&[V4]]));
    tokio::join!(sender.send(request(&format!("https://{host}:{port}/"))), serve_config(&listener, config)).0
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_for_the_host_is_accepted() {
    let authority = Authority::new();
    for (names, host) in [
        (["hooks.example", "other.example"], "hooks.example"),
        (["*.hooks.example", "other.example"], "a.hooks.example"),
        (["127.0.0.1", "hooks.example"], "127.0.0.1"),
    ] {
        let answer = answer(exchange(&authority, host, authority.for_names(&names).server()).await);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{host}");
    }
}

#[tokio::test]
async fn every_other_certificate_is_refused_with_its_reason() {
    let (authority, other, namesake) =
        (Authority::new(), Authority::named("Another authority"), Authority::new());
    let host = "hooks.example";
    let ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for (identity, expected, reason) in [
        (Identity::self_signed(host, IsCa::NoCa), ErrorClass::TlsFailed, "issuer is not trusted"),
        (Identity::self_signed(host, ca), ErrorClass::TlsFailed, "cannot be accepted"),
        (namesake.for_names(&[host]), ErrorClass::TlsFailed, "cannot be accepted"),
        (other.for_names(&[host]), ErrorClass::TlsFailed, "issuer is not trusted"),
        (authority.expired(host), ErrorClass::TlsFailed, "has expired"),
        (authority.not_yet_valid(host), ErrorClass::TlsFailed, "not valid yet"),
        (authority.for_names(&["other.example"]), ErrorClass::TlsNameMismatch, "not for the URL's host"),
        (authority.for_names(&["127.0.0.1"]), ErrorClass::TlsNameMismatch, "not for the URL's host"),
        (authority.for_names(&["*.hooks.example"]), ErrorClass::TlsNameMismatch, "not for the URL's host"),
    ] {
        let error = error(exchange(&authority, host, identity.server()).await);
        assert_eq!(error.class, expected, "{reason}");
        assert!(error.message.contains(reason), "{}: {reason}", error.message);
    }
}

#[tokio::test]
async fn a_literal_address_needs_a_certificate_for_the_address() {
    let authority = Authority::new();
    let exchange = exchange(&authority, "127.0.0.1", authority.for_names(&["hooks.example"]).server()).await;
    assert_eq!(class(exchange), ErrorClass::TlsNameMismatch);
}

#[tokio::test]
async fn an_endpoint_that_requires_a_client_certificate_is_reported_as_such() {
    let authority = Authority::new();
    let identity = authority.for_names(&["hooks.example"]);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let mut roots = RootCertStore::empty();
        roots.add(identity.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let config = identity.server_with(versions, verifier);
        let error = error(exchange(&authority, "hooks.example", config).await);
        assert_eq!(error.class, ErrorClass::TlsFailed, "{error:?}");
    }
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls_is_reported_as_such() {
    let authority = Authority::new();
    for (bytes, expected) in [
        (b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".as_slice(), ErrorClass::TlsFailed),
        (b"220 mail.example ESMTP\r\n", ErrorClass::TlsFailed),
        (b"", ErrorClass::ConnectionReset),
    ] {
        let (listener, port) = listen().await;
        let sender = names_sender(&authority, port, AMPLE, Answers::new(&[&[V4]]));
        let sent = sender.send(request(&format!("https://hooks.example:{port}/")));
        let (exchange, ()) = tokio::join!(sent, async {
            let mut stream = accept(&listener).await;
            stream.readable().await.unwrap();
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            until_closed(&mut stream).await;
        });
        assert_eq!(class(exchange), expected, "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses_the_connection() {
    let authority = Authority::new();
    let (listener, _closed, port) = listen_on_one(other(), V4).await;
    let sender = names_sender(&authority, port, AMPLE, Answers::new(&[&[V4, other()]]));
    let sent = sender.send(request(&format!("https://hooks.example:{port}/")));
    let identity = authority.for_names(&["hooks.example"]);
    let (exchange, ()) = tokio::join!(sent, serve_tls(&listener, &identity));
    assert_eq!(answer(exchange).status, 200);
}

#[test]
fn root_certificates_that_are_not_pem_are_refused() {
    let pem = String::from_utf8(Authority::new().pem()).unwrap();
    let new = |extra_roots: &[u8]| {
        let rules = SenderRules { extra_roots: extra_roots.to_vec(), ..SenderRules::default() };
        HttpSender::new(rules, Answers::new(&[]))
    };
    for invalid in
        ["nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &pem[..pem.len() / 2]]
    {
        assert!(matches!(new(invalid.as_bytes()), Err(SenderError::ExtraRoots)), "{invalid}");
    }
    for valid in ["", " \n", pem.as_str(), &format!("{pem}{pem}")] {
        assert!(new(valid.as_bytes()).is_ok(), "{valid}");
    }
}
