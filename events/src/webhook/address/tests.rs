use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::{AddressRefusal, IPV4, IPV6, refusal};

/// The same rules, written with the standard library's methods and with comparisons of bytes.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_unspecified()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 168 && b == 63 && c == 129 && d == 16)
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let in_global_unicast = (0x2000..0x4000).contains(&a);
    let is_special = (a == 0x2001 && (b < 0x200 || b == 0xdb8))
        || a == 0x2002
        || a == 0x3ffe
        || (a == 0x3fff && b < 0x1000);
    assert!(
        !(in_global_unicast
            && (address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.to_ipv4().is_some()))
    );
    in_global_unicast && !is_special
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Each range's first and last address and the addresses beside them.
fn edges() -> Vec<IpAddr> {
    let v4 = IPV4.iter().flat_map(|(range, _)| {
        let (first, last) = (range.network().to_bits(), range.broadcast().to_bits());
        [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
            .map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
    });
    let v6 = IPV6.iter().flat_map(|(range, _)| {
        let (first, last) = (range.network().to_bits(), range.broadcast().to_bits());
        [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
            .map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
    });
    v4.chain(v6).collect()
}

#[test]
fn the_edges_of_every_range_are_judged_as_by_the_second_table() {
    for address in edges() {
        assert_eq!(refusal(address).is_none(), is_public(address), "{address}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_ipv4_address_is_judged_as_by_the_second_table(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        prop_assert_eq!(refusal(address.into()).is_none(), is_public_v4(address), "{}", address);
    }

    #[test]
    fn every_ipv6_address_is_judged_as_by_the_second_table(
        first in prop_oneof![any::<u16>(), 0x2000u16..0x4000, Just(0x2001), Just(0x3fff)], rest: [u16; 7],
    ) {
        let mut segments = [first; 8];
        segments[1..].copy_from_slice(&rest);
        let address = Ipv6Addr::from_segments(segments);
        prop_assert_eq!(refusal(address.into()).is_none(), is_public_v6(address), "{}", address);
    }

    #[test]
    fn every_address_of_a_listed_range_is_refused(index in 0..IPV4.len() + IPV6.len(), bits: u128) {
        let address = if let Some((range, _)) = IPV4.get(index) {
            let bits = u32::try_from(bits >> 96).unwrap() & range.hostmask().to_bits();
            IpAddr::V4(Ipv4Addr::from_bits(range.network().to_bits() | bits))
        } else {
            let range = IPV6[index - IPV4.len()].0;
            IpAddr::V6(Ipv6Addr::from_bits(range.network().to_bits() | bits & range.hostmask().to_bits()))
        };
        prop_assert!(refusal(address).is_some(), "{}", address);
    }

    #[test]
    fn every_ipv6_address_that_embeds_an_ipv4_address_is_refused(bits: u32) {
        let [a, b, c, d] = bits.to_be_bytes();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        for address in [
            Ipv4Addr::from_bits(bits).to_ipv6_mapped(),
            Ipv4Addr::from_bits(bits).to_ipv6_compatible(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
        ] {
            prop_assert!(refusal(address.into()).is_some(), "{}", address);
        }
    }
}

#[test]
fn the_reason_is_that_of_the_most_specific_range() {
    for (address, expected) in [
        ("169.254.169.254", AddressRefusal::CloudService),
        ("169.254.170.2", AddressRefusal::CloudService),
        ("168.63.129.16", AddressRefusal::CloudService),
        ("100.100.100.200", AddressRefusal::CloudService),
        ("192.0.0.192", AddressRefusal::CloudService),
        ("fd00:ec2::254", AddressRefusal::CloudService),
        ("fd20:ce::254", AddressRefusal::CloudService),
        ("127.0.0.53", AddressRefusal::Loopback),
        ("::1", AddressRefusal::Loopback),
        ("0.0.0.0", AddressRefusal::Unspecified),
        ("::", AddressRefusal::Unspecified),
        ("10.1.2.3", AddressRefusal::Private),
        ("172.31.255.255", AddressRefusal::Private),
        ("192.168.1.1", AddressRefusal::Private),
        ("fdab::1", AddressRefusal::Private),
        ("fec0::1", AddressRefusal::Private),
        ("100.64.0.1", AddressRefusal::CarrierGradeNat),
        ("169.254.1.1", AddressRefusal::LinkLocal),
        ("fe80::1", AddressRefusal::LinkLocal),
        ("224.0.0.1", AddressRefusal::Multicast),
        ("ff02::1", AddressRefusal::Multicast),
        ("255.255.255.255", AddressRefusal::Reserved),
        ("198.19.0.1", AddressRefusal::Benchmarking),
        ("2001:2::1", AddressRefusal::Benchmarking),
        ("203.0.113.7", AddressRefusal::Documentation),
        ("2001:db8::1", AddressRefusal::Documentation),
        ("3fff::1", AddressRefusal::Documentation),
        ("::ffff:8.8.8.8", AddressRefusal::EmbeddedIpv4),
        ("::8.8.8.8", AddressRefusal::EmbeddedIpv4),
        ("64:ff9b::808:808", AddressRefusal::EmbeddedIpv4),
        ("64:ff9b:1::1", AddressRefusal::EmbeddedIpv4),
        ("2002:808:808::1", AddressRefusal::EmbeddedIpv4),
        ("2001:0:808:808::1", AddressRefusal::EmbeddedIpv4),
        ("2001:10::1", AddressRefusal::Reserved),
        ("2001:20::1", AddressRefusal::Reserved),
        ("100::1", AddressRefusal::Reserved),
        ("5f00::1", AddressRefusal::Reserved),
        ("4000::1", AddressRefusal::Reserved),
    ] {
        assert_eq!(refusal(address.parse().unwrap()), Some(expected), "{address}");
    }
}

#[test]
fn addresses_of_public_servers_are_accepted() {
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "93.184.215.14",
        "100.63.255.255",
        "172.32.0.1",
        "2606:4700::1111",
        "2a00:1450::1",
    ] {
        assert_eq!(refusal(address.parse().unwrap()), None, "{address}");
    }
}
