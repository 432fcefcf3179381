//! URLs by which a tenant could try to reach the operator's network. For each, nothing is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::json;
use streamio_core::ports::webhook_sender::WebhookSender as _;
use streamio_core::webhooks::http_sender::{HttpSender, SenderRules};
use streamio_events::webhook::endpoint_url::{EndpointUrl, Rules};
use streamio_events::webhook::exchange::ErrorClass;
use tokio::net::{TcpListener, TcpStream};

use crate::fixtures::{AMPLE, Answers, V4, assert_untouched, class, other, request};

/// `PORT` stands for a port that the rules allow and at which this machine listens on all of its addresses.
const REFUSED: &[&str] = &[
    // Loopback.
    "https://127.0.0.1:PORT/",
    "https://127.0.0.2:PORT/",
    "https://127.255.255.254:PORT/",
    "https://127.0.0.1.:PORT/",
    "https://[::1]:PORT/",
    "https://[0:0:0:0:0:0:0:1]:PORT/",
    "https://[0000:0000:0000:0000:0000:0000:0000:0001]:PORT/",
    "https://localhost:PORT/",
    "https://LOCALHOST:PORT/",
    "https://LocalHost.:PORT/",
    "https://app.localhost:PORT/",
    "https://localhost.localdomain:PORT/",
    // This machine.
    "https://0.0.0.0:PORT/",
    "https://0:PORT/",
    "https://0x0:PORT/",
    "https://00000000:PORT/",
    "https://0.1.2.3:PORT/",
    "https://[::]:PORT/",
    // Other spellings of 127.0.0.1.
    "https://127.1:PORT/",
    "https://127.0.1:PORT/",
    "https://127.00.00.01:PORT/",
    "https://2130706433:PORT/",
    "https://017700000001:PORT/",
    "https://00017700000001:PORT/",
    "https://0177.0.0.1:PORT/",
    "https://0177.0.0.01:PORT/",
    "https://0177.1:PORT/",
    "https://0x7f000001:PORT/",
    "https://0X7F000001:PORT/",
    "https://0x7f.0x0.0x0.0x1:PORT/",
    "https://0x7f.1:PORT/",
    "https://0x000000007f.1:PORT/",
    "https://127.0x1:PORT/",
    "https://0177.0x1:PORT/",
    "https://4294967296:PORT/",
    "https://6425673729:PORT/",
    "https://127.0.0.257:PORT/",
    "https://127.0.0.1.1:PORT/",
    "https://%31%32%37.0.0.1:PORT/",
    "https://127%2e0%2e0%2e1:PORT/",
    "https://%6c%6f%63%61%6c%68%6f%73%74:PORT/",
    "https://１２７.０.０.１:PORT/",
    "https://127。0。0。1:PORT/",
    "https://①②⑦.⓪.⓪.①:PORT/",
    "https://ｌｏｃａｌｈｏｓｔ:PORT/",
    // Addresses of IPv6 that stand for one of IPv4.
    "https://[::ffff:127.0.0.1]:PORT/",
    "https://[::ffff:7f00:1]:PORT/",
    "https://[::FFFF:7F00:0001]:PORT/",
    "https://[::127.0.0.1]:PORT/",
    "https://[::ffff:0:127.0.0.1]:PORT/",
    "https://[64:ff9b::127.0.0.1]:PORT/",
    "https://[64:ff9b:1::7f00:1]:PORT/",
    "https://[2002:7f00:1::]:PORT/",
    "https://[2001:0:7f00:1::]:PORT/",
    "https://[::ffff:10.0.0.1]:PORT/",
    // IPv6 with a zone, and other brackets.
    "https://[::1%25lo]:PORT/",
    "https://[::1%lo]:PORT/",
    "https://[fe80::1%25eth0]:PORT/",
    "https://[v1.127.0.0.1]:PORT/",
    "https://[127.0.0.1]:PORT/",
    "https://[localhost]:PORT/",
    // Private networks.
    "https://10.0.0.1:PORT/",
    "https://10.255.255.255:PORT/",
    "https://172.16.0.1:PORT/",
    "https://172.31.255.255:PORT/",
    "https://192.168.0.1:PORT/",
    "https://0xc0a80001:PORT/",
    "https://100.64.0.1:PORT/",
    "https://169.254.1.1:PORT/",
    "https://[fc00::1]:PORT/",
    "https://[fd12:3456::1]:PORT/",
    "https://[fe80::1]:PORT/",
    "https://[fec0::1]:PORT/",
    "https://router:PORT/",
    "https://printer.local:PORT/",
    "https://db.internal:PORT/",
    "https://nas.lan:PORT/",
    "https://git.corp:PORT/",
    "https://nas.home.arpa:PORT/",
    "https://kubernetes.default:PORT/#.svc.cluster.local",
    "https://kubernetes.default.svc.cluster.local:PORT/",
    // Services of the cloud.
    "https://169.254.169.254:PORT/latest/meta-data/iam/security-credentials/",
    "https://2852039166:PORT/",
    "https://0xa9fea9fe:PORT/",
    "https://0251.0376.0251.0376:PORT/",
    "https://169.254.43518:PORT/",
    "https://[::ffff:169.254.169.254]:PORT/",
    "https://[fd00:ec2::254]:PORT/",
    "https://[fd20:ce::254]:PORT/",
    "https://169.254.170.2:PORT/v2/credentials",
    "https://168.63.129.16:PORT/",
    "https://100.100.100.200:PORT/",
    "https://192.0.0.192:PORT/",
    "https://metadata:PORT/",
    "https://metadata.google.internal:PORT/computeMetadata/v1/",
    "https://metadata.google.internal.:PORT/",
    "https://METADATA.goog:PORT/",
    "https://instance-data.ec2.internal:PORT/",
    // Reserved addresses.
    "https://192.0.2.1:PORT/",
    "https://198.18.0.1:PORT/",
    "https://198.51.100.1:PORT/",
    "https://203.0.113.1:PORT/",
    "https://224.0.0.1:PORT/",
    "https://240.0.0.1:PORT/",
    "https://255.255.255.255:PORT/",
    "https://[ff02::1]:PORT/",
    "https://[2001:db8::1]:PORT/",
    "https://[100::1]:PORT/",
    "https://[5f00::1]:PORT/",
    // What programs read in different ways.
    "https://hooks.example@127.0.0.1:PORT/",
    "https://hooks.example:443@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT@hooks.example/",
    "https://@127.0.0.1:PORT/",
    "https://hooks.example\\@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT\\@hooks.example/",
    "https://hooks.example#@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT#@hooks.example/",
    "https://127.0.0.1:PORT?@hooks.example/",
    "https://hooks.example%00.127.0.0.1:PORT/",
    "https://127.0.0.1%00.hooks.example:PORT/",
    "https://127.0.0.1%0d%0ahost:hooks.example:PORT/",
    "https://127.0.0.1:PORT\r\nhost: hooks.example/",
    "https://127.0.0.1\t:PORT/",
    " https://127.0.0.1:PORT/",
    "https:127.0.0.1:PORT/",
    "https:/127.0.0.1:PORT/",
    "https:///127.0.0.1:PORT/",
    "https:\\\\127.0.0.1:PORT\\",
    "//127.0.0.1:PORT/",
    "https://127.0.0.1:PORT:443/",
    "https://127.0.0.1 :PORT/",
    "https://localhost:0PORT/",
    // Other schemes.
    "http://hooks.example:PORT/",
    "http://127.0.0.1:PORT/",
    "http://localhost:PORT/",
    "http://[::1]:PORT/",
    "ftp://127.0.0.1:PORT/",
    "gopher://127.0.0.1:PORT/_POST",
    "file:///etc/passwd",
    "file://127.0.0.1:PORT/etc/passwd",
    "unix:///var/run/docker.sock",
    "data:text/plain,a",
    "ws://127.0.0.1:PORT/",
    "jar:https://127.0.0.1:PORT!/",
    // Other ports.
    "https://hooks.example:22/",
    "https://hooks.example:0/",
    "https://hooks.example:65536/",
    "https://hooks.example:-1/",
];

/// Valid URLs of names that lead to this machine, as any owner of a domain can arrange. The names of these services do.
const LEAD_HERE: &[&str] = &[
    "https://localtest.me:PORT/",
    "https://lvh.me:PORT/",
    "https://127.0.0.1.nip.io:PORT/",
    "https://127-0-0-1.sslip.io:PORT/",
    "https://7f000001.c0a80001.rbndr.us:PORT/",
    "https://spoofed.burpcollaborator.net:PORT/",
    "https://xn--localhost.hooks.example:PORT/",
    "https://169.254.169.254.hooks.example:PORT/",
    "https://localhost.hooks.example.:PORT/",
    "https://hooks.example:PORT/",
];

/// A listener at a free port of all of this machine's addresses.
async fn listen_everywhere() -> (TcpListener, u16) {
    // On Linux and macOS a listener of IPv6 accepts IPv4 too. A machine may have no IPv6.
    let addresses =
        [(IpAddr::from(Ipv6Addr::UNSPECIFIED), 0).into(), (IpAddr::from(Ipv4Addr::UNSPECIFIED), 0).into()];
    let listener = TcpListener::bind(addresses.as_slice()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for address in [V4, other(), Ipv6Addr::LOCALHOST.into()] {
        match TcpStream::connect((address, port)).await {
            Ok(own) => {
                let (_, peer) = listener.accept().await.unwrap();
                assert_eq!(peer.port(), own.local_addr().unwrap().port());
            }
            Err(error) => assert!(address.is_ipv6(), "{address}: {error}"),
        }
    }
    (listener, port)
}

/// A sender with a resolver for which every name is this machine.
fn sender(urls: Rules) -> HttpSender {
    let rules = SenderRules { urls, limits: AMPLE, ..SenderRules::default() };
    HttpSender::new(rules, Answers::new(&[&[V4, Ipv6Addr::LOCALHOST.into(), other()]])).unwrap()
}

#[tokio::test]
async fn no_hostile_url_can_be_registered_or_connected_to() {
    let (listener, port) = listen_everywhere().await;
    let rules = Rules { ports: vec![443, port], ..Rules::default() };
    let sender = sender(rules.clone());
    assert!(REFUSED.len() >= 80);
    for url in REFUSED {
        let url = url.replace("PORT", &port.to_string());
        assert!(EndpointUrl::parse(&url, &rules).is_err(), "{url}");
        // An endpoint that was registered when the rules were less strict.
        if serde_json::from_value::<EndpointUrl>(json!(url)).is_ok() {
            assert_eq!(class(sender.send(request(&url)).await), ErrorClass::UrlRefused, "{url}");
        }
    }
    assert_untouched(&listener).await;
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let (listener, port) = listen_everywhere().await;
    // The permission of loopback addresses is for hosts that are written as such.
    for loopback in [false, true] {
        let rules = Rules { ports: vec![443, port], loopback, ..Rules::default() };
        let sender = sender(rules.clone());
        for url in LEAD_HERE {
            let url = url.replace("PORT", &port.to_string());
            assert!(EndpointUrl::parse(&url, &rules).is_ok(), "{url}");
            assert_eq!(class(sender.send(request(&url)).await), ErrorClass::AddressRefused, "{url}");
        }
    }
    assert_untouched(&listener).await;
}

/// The form alone already refuses most spellings. The rest must be refused by the address to which the sender would connect.
#[tokio::test]
async fn the_permission_of_loopback_addresses_reaches_no_other_address() {
    let (listener, port) = listen_everywhere().await;
    let rules = Rules { ports: vec![443, port], loopback: true, ..Rules::default() };
    let sender = sender(rules.clone());
    for url in REFUSED {
        let url = url.replace("PORT", &port.to_string());
        match EndpointUrl::parse(&url, &rules) {
            Ok(url) => assert!(url.host().is_loopback(), "{url:?}"),
            Err(_) if serde_json::from_value::<EndpointUrl>(json!(url)).is_ok() => {
                assert_eq!(class(sender.send(request(&url)).await), ErrorClass::UrlRefused, "{url}");
            }
            Err(_) => {}
        }
    }
    assert_untouched(&listener).await;
}
