//! Which IP addresses a webhook may be sent to: only those that IANA assigns to hosts on the public internet.
//!
//! The owner of an endpoint chooses the address that a request goes to, from inside the operator's network. The addresses
//! of that network, of the sending machine and of the cloud's metadata service are therefore refused.
//!
//! The ranges are those of IANA's registries that are not globally reachable, as of 2026:
//! [IPv4 special-purpose addresses](https://www.iana.org/assignments/iana-ipv4-special-registry/),
//! [IPv6 special-purpose addresses](https://www.iana.org/assignments/iana-ipv6-special-registry/),
//! [IPv4 multicast](https://www.iana.org/assignments/multicast-addresses/) and
//! [IPv6 address space](https://www.iana.org/assignments/ipv6-address-space/). Two blocks for protocols, `192.0.0.0/24` and
//! `2001::/23`, are refused as a whole: the few addresses in them that are globally reachable are anycast addresses of relays and
//! not of web servers. Addresses that carry an IPv4 address in them are refused, public or not, because a router may pass them on
//! to that address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What an address is, if no webhook may be sent to it. The text completes "an address …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AddressRefusal {
    /// A service of the cloud that answers only its own machines, such as the metadata service.
    #[error("of a cloud's internal services")]
    CloudService,
    /// `0.0.0.0/8` and `::`.
    #[error("that means this machine")]
    Unspecified,
    /// `127.0.0.0/8` and `::1`.
    #[error("of this machine (loopback)")]
    Loopback,
    /// RFC 1918, unique local addresses of RFC 4193 and site-local addresses.
    #[error("of a private network")]
    Private,
    /// The addresses between a provider and its customers, RFC 6598.
    #[error("of a provider's internal network (carrier-grade NAT)")]
    CarrierGradeNat,
    /// `169.254.0.0/16` and `fe80::/10`.
    #[error("that is valid on one link only")]
    LinkLocal,
    /// A group of hosts, or all hosts.
    #[error("of a group of hosts (multicast or broadcast)")]
    Multicast,
    /// For tests of network equipment.
    #[error("reserved for benchmarks")]
    Benchmarking,
    /// For examples.
    #[error("reserved for documentation")]
    Documentation,
    /// Carries an IPv4 address: 6to4, Teredo, NAT64, IPv4-mapped and IPv4-compatible addresses.
    #[error("that stands for an IPv4 address; use the IPv4 address itself")]
    EmbeddedIpv4,
    /// For other purposes than hosts, or not assigned yet.
    #[error("that is reserved")]
    Reserved,
}

use AddressRefusal as Refusal;

/// The first range that contains an address decides, so a more specific range comes first.
const IPV4: [(Ipv4Net, AddressRefusal); 20] = [
    // The metadata services of AWS, Google Cloud, Azure, Oracle and others; AWS ECS; Azure; Alibaba Cloud; Oracle Cloud.
    (v4(169, 254, 169, 254, 32), Refusal::CloudService),
    (v4(169, 254, 170, 2, 32), Refusal::CloudService),
    (v4(168, 63, 129, 16, 32), Refusal::CloudService),
    (v4(100, 100, 100, 200, 32), Refusal::CloudService),
    (v4(192, 0, 0, 192, 32), Refusal::CloudService),
    (v4(0, 0, 0, 0, 8), Refusal::Unspecified),
    (v4(10, 0, 0, 0, 8), Refusal::Private),
    (v4(100, 64, 0, 0, 10), Refusal::CarrierGradeNat),
    (v4(127, 0, 0, 0, 8), Refusal::Loopback),
    (v4(169, 254, 0, 0, 16), Refusal::LinkLocal),
    (v4(172, 16, 0, 0, 12), Refusal::Private),
    (v4(192, 0, 0, 0, 24), Refusal::Reserved),
    (v4(192, 0, 2, 0, 24), Refusal::Documentation),
    // Relays of 6to4, deprecated by RFC 7526.
    (v4(192, 88, 99, 0, 24), Refusal::Reserved),
    (v4(192, 168, 0, 0, 16), Refusal::Private),
    (v4(198, 18, 0, 0, 15), Refusal::Benchmarking),
    (v4(198, 51, 100, 0, 24), Refusal::Documentation),
    (v4(203, 0, 113, 0, 24), Refusal::Documentation),
    (v4(224, 0, 0, 0, 4), Refusal::Multicast),
    // Reserved by RFC 1112, with the broadcast address at its end.
    (v4(240, 0, 0, 0, 4), Refusal::Reserved),
];

/// The first range that contains an address decides, so a more specific range comes first.
const IPV6: [(Ipv6Net, AddressRefusal); 22] = [
    // The metadata services of AWS and Google Cloud.
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), Refusal::CloudService),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), Refusal::CloudService),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), Refusal::Unspecified),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Refusal::Loopback),
    // IPv4-compatible, IPv4-mapped and IPv4-translated addresses.
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), Refusal::EmbeddedIpv4),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), Refusal::EmbeddedIpv4),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), Refusal::EmbeddedIpv4),
    // NAT64: the well-known prefix and the prefix for local use (RFC 6052, RFC 8215).
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), Refusal::EmbeddedIpv4),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), Refusal::EmbeddedIpv4),
    // Discard-only (RFC 6666) and its neighbour for dummy prefixes (RFC 9780).
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 63), Refusal::Reserved),
    // Teredo.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), Refusal::EmbeddedIpv4),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), Refusal::Benchmarking),
    // Protocols, with both blocks of ORCHID.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Refusal::Reserved),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Refusal::Documentation),
    // 6to4.
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), Refusal::EmbeddedIpv4),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Refusal::Documentation),
    // Identifiers of segment routing (SRv6, RFC 9602).
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), Refusal::Reserved),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Refusal::Private),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Refusal::LinkLocal),
    // Site-local addresses, deprecated by RFC 3879.
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Refusal::Private),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Refusal::Multicast),
    // The test networks of the 6bone, returned to IANA by RFC 3701.
    (v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), Refusal::Reserved),
];

/// The only block of IPv6 that is assigned to hosts on the public internet.
const IPV6_GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), prefix)
}

/// Why no webhook is sent to `address`; `None` for an address on the public internet.
pub fn refusal(address: IpAddr) -> Option<AddressRefusal> {
    match address {
        IpAddr::V4(address) => {
            IPV4.iter().find(|(range, _)| range.contains(&address)).map(|(_, refusal)| *refusal)
        }
        IpAddr::V6(address) => {
            let listed = IPV6.iter().find(|(range, _)| range.contains(&address)).map(|(_, refusal)| *refusal);
            listed.or_else(|| (!IPV6_GLOBAL_UNICAST.contains(&address)).then_some(Refusal::Reserved))
        }
    }
}

#[cfg(test)]
mod tests;
