use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use url::Url;

use super::*;

fn parse(text: &str) -> Result<String, InvalidEndpointUrl> {
    EndpointUrl::parse(text, &Rules::default()).map(|url| url.as_str().to_owned())
}

fn development() -> Rules {
    Rules { loopback: true, ..Rules::default() }
}

#[test]
fn a_valid_url_is_normalised() {
    for (text, expected) in [
        ("https://hooks.example", "https://hooks.example/"),
        ("HTTPS://Hooks.EXAMPLE/Path?Query=A", "https://hooks.example/Path?Query=A"),
        ("https://hooks.example:443/a", "https://hooks.example/a"),
        ("https://hooks.example:/a", "https://hooks.example/a"),
        ("https://hooks.example:8443/a", "https://hooks.example:8443/a"),
        ("https://hooks.example./a", "https://hooks.example/a"),
        ("https://hooks.example/a/../b/./c", "https://hooks.example/b/c"),
        ("https://hooks.example?a=b", "https://hooks.example/?a=b"),
        ("https://hooks.example/%7Ea%2f", "https://hooks.example/~a%2F"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://8.8.8.8./", "https://8.8.8.8/"),
        ("https://0x08.010.8.8/", "https://8.8.8.8/"),
        ("https://134744072/", "https://8.8.8.8/"),
        ("https://[2606:4700:0:0::1111]/", "https://[2606:4700::1111]/"),
        ("https://xn--mnchen-3ya.example/", "https://xn--mnchen-3ya.example/"),
        ("https://a_b.example/", "https://a_b.example/"),
    ] {
        assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn the_error_states_what_is_wrong() {
    use InvalidEndpointUrl as Invalid;
    let port = Invalid::Port { allowed: vec![443, 8443] };
    for (text, expected) in [
        ("", Invalid::NotAUrl),
        ("hooks.example/a", Invalid::NotAUrl),
        ("//hooks.example/a", Invalid::NotAUrl),
        (" https://hooks.example/", Invalid::NotAUrl),
        ("https://hooks.example/a b", Invalid::NotAUrl),
        ("https://hooks.example/ä", Invalid::NotAUrl),
        ("https:\\\\hooks.example\\a", Invalid::NotAUrl),
        ("https://hooks.example\\@127.0.0.1/", Invalid::NotAUrl),
        ("https://hooks.example\t/", Invalid::NotAUrl),
        ("https:///a", Invalid::Host),
        ("https:a", Invalid::NotAUrl),
        ("https://hooks.example:99999/", Invalid::NotAUrl),
        ("https://[::1", Invalid::NotAUrl),
        ("https://[fe80::1%25eth0]/", Invalid::NotAUrl),
        ("https://[v1.a]/", Invalid::Host),
        ("ftp://hooks.example/", Invalid::Scheme),
        ("javascript:alert(1)", Invalid::Scheme),
        ("http://hooks.example/", Invalid::NotEncrypted),
        ("http://localhost/", Invalid::NotEncrypted),
        ("https://user@hooks.example/", Invalid::UserInfo),
        ("https://user:password@hooks.example/", Invalid::UserInfo),
        ("https://@hooks.example/", Invalid::UserInfo),
        ("https://hooks.example/#a", Invalid::Fragment),
        ("https://hooks.example/#", Invalid::Fragment),
        ("https://hooks..example/", Invalid::Host),
        ("https://hooks.example../", Invalid::Host),
        ("https://./", Invalid::Host),
        ("https://-a.example/", Invalid::Host),
        ("https://1.2.3.4.5/", Invalid::Host),
        ("https://hooks.256/", Invalid::Host),
        ("https://%31%32%37.0.0.1/", Invalid::Host),
        ("https://hooks%2eexample/", Invalid::Host),
        ("https://localhost/", Invalid::LocalName),
        ("https://LOCALHOST./", Invalid::LocalName),
        ("https://a.localhost/", Invalid::LocalName),
        ("https://printer.local/", Invalid::LocalName),
        ("https://metadata.google.internal/", Invalid::LocalName),
        ("https://metadata.goog/", Invalid::LocalName),
        ("https://intranet/", Invalid::LocalName),
        ("https://127.0.0.1/", Invalid::Address(AddressRefusal::Loopback)),
        ("https://2130706433/", Invalid::Address(AddressRefusal::Loopback)),
        ("https://0x7f.1/", Invalid::Address(AddressRefusal::Loopback)),
        ("https://017700000001/", Invalid::Address(AddressRefusal::Loopback)),
        ("https://[::1]/", Invalid::Address(AddressRefusal::Loopback)),
        ("https://[::ffff:8.8.8.8]/", Invalid::Address(AddressRefusal::EmbeddedIpv4)),
        ("https://169.254.169.254/latest/meta-data/", Invalid::Address(AddressRefusal::CloudService)),
        ("https://hooks.example:22/", port.clone()),
        ("https://hooks.example:80/", port.clone()),
        ("https://hooks.example:0/", port),
    ] {
        assert_eq!(parse(text), Err(expected), "{text}");
    }
}

#[test]
fn a_url_is_at_most_2048_bytes() {
    let start = "https://hooks.example/";
    let longest = format!("{start}{}", "a".repeat(MAX_LENGTH - start.len()));
    assert_eq!(parse(&longest).as_deref(), Ok(longest.as_str()));
    assert_eq!(parse(&format!("{longest}a")), Err(InvalidEndpointUrl::TooLong));
    // The normal form has a slash that this text lacks.
    let query = format!("https://hooks.example?{}", "a".repeat(MAX_LENGTH - start.len()));
    assert_eq!((query.len(), parse(&query)), (MAX_LENGTH, Err(InvalidEndpointUrl::TooLong)));
}

#[test]
fn http_and_any_port_are_allowed_for_loopback_hosts_where_the_operator_allows_them() {
    for text in
        ["http://localhost:3000/", "http://127.0.0.1/", "https://127.1.2.3:9443/a", "http://[::1]:3000/"]
    {
        let url = EndpointUrl::parse(text, &development()).unwrap();
        assert_eq!(url.as_str(), text);
        assert!(url.check(&Rules::default()).is_err(), "{text}");
    }
    for text in [
        "http://hooks.example/",
        "http://192.168.0.1/",
        "https://192.168.0.1/",
        "https://a.localhost/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://[::]/",
    ] {
        assert!(EndpointUrl::parse(text, &development()).is_err(), "{text}");
    }
}

#[test]
fn addresses_and_names_of_the_operators_networks_are_allowed() {
    let rules = Rules { networks: vec!["10.1.0.0/16".parse().unwrap()], ..Rules::default() };
    for text in ["https://10.1.2.3/", "https://hooks.internal/", "https://hooks/", "https://hooks.example/"] {
        assert!(EndpointUrl::parse(text, &rules).is_ok(), "{text}");
    }
    for text in ["https://10.2.0.1/", "http://10.1.2.3/", "https://localhost/", "https://10.1.2.3:22/"] {
        assert!(EndpointUrl::parse(text, &rules).is_err(), "{text}");
    }
}

#[test]
fn the_parts_are_those_of_the_normal_form() {
    let url = EndpointUrl::parse("http://LocalHost:8080/a?b", &development()).unwrap();
    assert_eq!((url.origin(), url.authority()), ("http://localhost:8080", "localhost:8080"));
    assert_eq!((url.path_and_query(), url.port(), url.is_https()), ("/a?b", 8080, false));
    assert_eq!(url.host(), &Host::Name("localhost".to_owned()));
    let url = EndpointUrl::parse("https://[2606:4700::1]", &Rules::default()).unwrap();
    assert_eq!((url.authority(), url.path_and_query(), url.port()), ("[2606:4700::1]", "/", 443));
}

#[test]
fn neither_debug_output_nor_an_error_repeats_a_token_of_the_url() {
    let url = EndpointUrl::parse("https://hooks.example/secret?token=secret", &Rules::default()).unwrap();
    assert_eq!(format!("{url:?}"), "https://hooks.example/…");
    let refused = parse("https://secret:secret@hooks.example/secret").unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("secret"));
}

#[test]
fn a_recorded_url_is_read_whatever_the_rules_are() {
    let url: EndpointUrl = serde_json::from_str(r#""http://127.0.0.1:9/""#).unwrap();
    assert_eq!(url.check(&Rules::default()), Err(InvalidEndpointUrl::NotEncrypted));
    assert!(serde_json::from_str::<EndpointUrl>(r#""https://user@hooks.example/""#).is_err());
}

/// One number of an IPv4 address in some spelling.
fn spelled(number: u32, style: u8) -> String {
    match style % 5 {
        0 => format!("{number}"),
        1 => format!("0{number:o}"),
        2 => format!("0x{number:x}"),
        3 => format!("0X{number:X}"),
        _ => format!("0x000{number:x}"),
    }
}

/// An IPv4 address in some spelling: one to four numbers.
fn spelling(address: Ipv4Addr, numbers: u8, styles: [u8; 4], dot: bool) -> String {
    let bits = address.to_bits();
    let leading = u32::from(numbers.clamp(1, 4) - 1);
    let mut parts: Vec<u32> = address.octets().into_iter().take(leading as usize).map(u32::from).collect();
    parts.push(if leading == 0 { bits } else { bits & (u32::MAX >> (8 * leading)) });
    let parts: Vec<_> = parts.iter().zip(styles).map(|(part, style)| spelled(*part, style)).collect();
    parts.join(".") + if dot { "." } else { "" }
}

proptest! {
    #[test]
    fn an_ipv4_address_is_judged_the_same_in_every_spelling(
        bits in prop_oneof![any::<u32>(), 0x7f00_0000_u32..0x8000_0000, 0x0a00_0000_u32..0x0b00_0000],
        numbers in 1u8..=4, styles: [u8; 4], dot: bool,
    ) {
        let address = Ipv4Addr::from_bits(bits);
        let text = format!("https://{}/", spelling(address, numbers, styles, dot));
        match address::refusal(IpAddr::V4(address)) {
            None => prop_assert_eq!(parse(&text), Ok(format!("https://{address}/")), "{}", text),
            Some(refusal) => prop_assert_eq!(parse(&text), Err(InvalidEndpointUrl::Address(refusal)), "{}", text),
        }
    }

    #[test]
    fn an_ipv6_address_is_judged_by_its_address(bits: u128, upper: bool) {
        let address = std::net::Ipv6Addr::from_bits(bits);
        let full = address.segments().map(|segment| format!("{segment:04x}")).join(":");
        let text = format!("https://[{}]/", if upper { full.to_ascii_uppercase() } else { full });
        match address::refusal(IpAddr::V6(address)) {
            None => prop_assert_eq!(parse(&text), Ok(format!("https://[{address}]/"))),
            Some(refusal) => prop_assert_eq!(parse(&text), Err(InvalidEndpointUrl::Address(refusal))),
        }
    }

    /// What the URL standard reads as another host than this parser would be connected to without having been checked.
    #[test]
    fn an_accepted_url_means_the_same_in_the_url_standard(
        text in "(https|http|HTTPS)://([a-z]{1,4}@)?(([a-zA-Z0-9_-]{1,6}\\.){0,3}[a-zA-Z0-9_-]{1,6}\\.?|[0-9.x]{1,12}|\\[[0-9a-f:.]{2,12}\\])(:[0-9]{0,5})?(/[a-zA-Z0-9._~!$&()*+,;=:@%-]{0,6}){0,3}(\\?[a-z=&/%?]{0,6})?",
    ) {
        let is_punycode = |label: &str| label.to_ascii_lowercase().starts_with("xn--");
        prop_assume!(!text.split(['.', '/']).any(is_punycode));
        if let Ok(url) = EndpointUrl::of_any_rules(&text) {
            for text in [text.as_str(), url.as_str()] {
                let standard = Url::parse(text).unwrap();
                prop_assert_eq!(standard.port_or_known_default(), Some(url.port()));
                prop_assert_eq!(standard.scheme() == "https", url.is_https());
                match (standard.host().unwrap(), url.host()) {
                    (url::Host::Domain(theirs), Host::Name(ours)) => {
                        prop_assert_eq!(theirs.strip_suffix('.').unwrap_or(theirs), ours);
                    }
                    (url::Host::Ipv4(theirs), Host::Address(ours)) => prop_assert_eq!(IpAddr::V4(theirs), *ours),
                    (url::Host::Ipv6(theirs), Host::Address(ours)) => prop_assert_eq!(IpAddr::V6(theirs), *ours),
                    (theirs, ours) => prop_assert!(false, "{:?} and {:?} of {}", theirs, ours, text),
                }
            }
        }
    }

    #[test]
    fn the_normal_form_is_read_as_itself(
        text in "https?://[a-z0-9.-]{1,10}(:[0-9]{1,4})?(/[a-zA-Z0-9._~%-]{0,5}){0,3}(\\?[a-zA-Z=&%']{0,5})?",
    ) {
        if let Ok(url) = EndpointUrl::of_any_rules(&text) {
            let json = serde_json::to_string(&url).unwrap();
            prop_assert_eq!(&json, &format!("{:?}", url.as_str()));
            prop_assert_eq!(serde_json::from_str::<EndpointUrl>(&json).unwrap(), url);
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused_without_a_panic(text in "(https://)?.{0,40}") {
        if let Ok(url) = EndpointUrl::of_any_rules(&text) {
            let _ = url.check(&Rules::default());
        }
    }
}
