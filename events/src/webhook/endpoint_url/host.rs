//! The host of an endpoint's URL.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The name of this machine. It is resolved without the DNS, as RFC 6761 asks.
pub(super) const LOCALHOST: &str = "localhost";

/// Domains whose names are never in the public DNS: those of RFC 6761, 6762, 7686 and 8375, `internal` that ICANN reserves, and those that
/// home and company networks use (ICANN assigns `corp` and `home` to nobody). The last is a name of Google Cloud's metadata service.
const LOCAL_DOMAINS: [&str; 13] = [
    LOCALHOST,
    "local",
    "internal",
    "home.arpa",
    "onion",
    "invalid",
    "localdomain",
    "lan",
    "home",
    "corp",
    "intranet",
    "private",
    "metadata.goog",
];

/// The maximum length of a domain name and of one label of it, in bytes (RFC 1035).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A domain name in lower case, without a trailing dot.
    Name(String),
    /// An IP address.
    Address(IpAddr),
}

impl Host {
    /// Parses the host of a URL, with the brackets of an IPv6 address; `None` if it is neither a domain name nor an IP address.
    ///
    /// A host that ends in a number is an IPv4 address in one of the forms of the
    /// [URL standard](https://url.spec.whatwg.org/#concept-ipv4-parser): `inet_aton` and browsers connect to them too. A host with
    /// percent-encoded bytes is refused, because programs differ in when they decode it; so is an IPv6 address with a zone.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Some(Self::Address(IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let last = name.rsplit('.').next().unwrap_or_default();
        let ends_in_number =
            !last.is_empty() && (last.bytes().all(|byte| byte.is_ascii_digit()) || number(last).is_some());
        if ends_in_number {
            return Some(Self::Address(IpAddr::V4(ipv4(&name)?)));
        }
        is_name(&name).then_some(Self::Name(name))
    }

    /// Whether it is written as `localhost` or as a loopback address.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == LOCALHOST,
            Self::Address(address) => address.is_loopback(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(formatter),
            Self::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
        }
    }
}

/// Whether `name` is of a private network: a single label, or in one of [`LOCAL_DOMAINS`].
pub(super) fn is_local_name(name: &str) -> bool {
    let is_in =
        |domain: &&str| name.strip_suffix(*domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.contains('.') || LOCAL_DOMAINS.iter().any(is_in)
}

/// Whether `name` is a domain name in lower case. Underscores are in use, although host names should have none.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

/// An IPv4 address of one to four numbers, of which the last fills the remaining bytes.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let numbers = text.split('.').map(number).collect::<Option<Vec<u64>>>()?;
    let (last, bytes) = numbers.split_last()?;
    let free = 4_u32.checked_sub(u32::try_from(bytes.len()).ok()?).filter(|free| *free > 0)?;
    if *last >= 256_u64.pow(free) {
        return None;
    }
    let mut bits = 0;
    for byte in bytes {
        bits = bits << 8 | u64::from(u8::try_from(*byte).ok()?);
    }
    u32::try_from(bits << (8 * free) | last).ok().map(Ipv4Addr::from_bits)
}

/// A number of an IPv4 address: decimal, octal after `0`, or hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    if digits.is_empty() {
        // `0x` alone is zero in the URL standard.
        return (radix == 16).then_some(0);
    }
    // `from_str_radix` would accept a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() { Some(0) } else { u64::from_str_radix(significant, radix).ok() }
}
