//! From a host to a TCP connection: resolve once, check, and connect to what was checked.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use streamio_events::webhook::endpoint_url::{EndpointUrl, Host, Rules};
use streamio_events::webhook::exchange::{ErrorClass, ExchangeError};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::lookups::LookupPermit;
use super::resolver::Resolver;

/// The maximum number of addresses that are tried, of IPv4 and of IPv6 each. A name may have hundreds, chosen by a tenant.
const MAX_ADDRESSES: usize = 3;

/// Whether the name of the host must be looked up for a request to `url`.
pub(super) fn needs_lookup(url: &EndpointUrl, rules: &Rules) -> bool {
    matches!(url.host(), Host::Name(_)) && !(url.host().is_loopback() && rules.loopback)
}

/// The addresses to which a request to `url` may connect: those of its host that the rules allow. A name is looked up only with a permit.
pub(super) async fn addresses(
    url: &EndpointUrl,
    rules: &Rules,
    resolver: &dyn Resolver,
    permit: Option<LookupPermit>,
) -> Result<Vec<IpAddr>, ExchangeError> {
    let is_allowed = |address: &IpAddr| rules.refusal(*address).is_none();
    let allowed = match url.host() {
        host if host.is_loopback() && rules.loopback => loopback(host),
        Host::Address(address) => Some(*address).filter(is_allowed).into_iter().collect(),
        Host::Name(name) => {
            let found = match permit {
                Some(permit) => resolver.resolve(name, permit).await.unwrap_or_else(|error| {
                    tracing::debug!(
                        server.address = name,
                        error = &error as &dyn std::error::Error,
                        "name not resolved"
                    );
                    Vec::new()
                }),
                None => Vec::new(),
            };
            if found.is_empty() {
                return Err(ExchangeError::new(
                    ErrorClass::NameNotResolved,
                    "the host's name has no address or could not be resolved; check its DNS records",
                ));
            }
            first_of_each_family(found.into_iter().filter(is_allowed))
        }
    };
    if allowed.is_empty() {
        return Err(ExchangeError::new(
            ErrorClass::AddressRefused,
            "the host has no address on the public internet, and webhooks are sent to no other; check its DNS records",
        ));
    }
    Ok(allowed)
}

/// The addresses of a host for which [`Host::is_loopback`] is true, without a look-up.
fn loopback(host: &Host) -> Vec<IpAddr> {
    match host {
        Host::Address(address) => vec![*address],
        Host::Name(_) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
    }
}

/// The first [`MAX_ADDRESSES`] of IPv4 and of IPv6, in the given order.
fn first_of_each_family(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut first: Vec<IpAddr> = Vec::new();
    for address in addresses {
        let of_family = first.iter().filter(|other| other.is_ipv4() == address.is_ipv4()).count();
        if of_family < MAX_ADDRESSES && !first.contains(&address) {
            first.push(address);
        }
    }
    first
}

/// Connects to the first of `addresses` that accepts, with a limit of `limit` for each.
pub(super) async fn tcp(
    addresses: &[IpAddr],
    port: u16,
    limit: Duration,
) -> Result<TcpStream, ExchangeError> {
    let mut failure = None;
    let mut timed_out = false;
    for address in addresses {
        match timeout(limit, TcpStream::connect((*address, port))).await {
            Ok(Ok(stream)) => {
                // Only a matter of speed.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => {
                tracing::debug!(%address, port, error = &error as &dyn std::error::Error, "not connected");
                failure = Some(error.kind());
            }
            Err(_) => timed_out = true,
        }
    }
    if timed_out {
        let message =
            "the host did not accept a connection in time; check that it is running and its firewall";
        return Err(ExchangeError::new(ErrorClass::ConnectTimeout, message));
    }
    let (class, message) = match failure {
        Some(io::ErrorKind::ConnectionRefused) => (
            ErrorClass::ConnectFailed,
            "the host refused the connection; check that a server listens on the URL's port",
        ),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            (ErrorClass::ConnectFailed, "the host cannot be reached; check its DNS records and its firewall")
        }
        // The host accepted and closed the connection before this machine noticed.
        Some(io::ErrorKind::ConnectionReset) => {
            (ErrorClass::ConnectionReset, "the endpoint closed the connection at once; check its log")
        }
        _ => (ErrorClass::ConnectFailed, "no connection to the host could be made; check that it is running"),
    };
    Err(ExchangeError::new(class, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_both_loopback_addresses_and_an_address_is_itself() {
        let addresses = |host| loopback(&host).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(addresses(Host::Name("localhost".to_owned())), ["127.0.0.1", "::1"]);
        assert_eq!(addresses(Host::Address([127, 0, 0, 5].into())), ["127.0.0.5"]);
    }

    #[test]
    fn at_most_three_addresses_of_each_family_are_tried_in_their_order() {
        let addresses =
            ["::2", "::3", "::2", "::4", "::5", "1.1.1.1", "::6", "1.1.1.2", "1.1.1.3", "1.1.1.4"];
        let first = first_of_each_family(addresses.iter().map(|address| address.parse().unwrap()));
        let expected = ["::2", "::3", "::4", "1.1.1.1", "1.1.1.2", "1.1.1.3"];
        assert_eq!(first, expected.map(|address| address.parse::<IpAddr>().unwrap()));
    }
}
