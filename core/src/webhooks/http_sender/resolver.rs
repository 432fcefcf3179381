//! The resolution of host names.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};

use async_trait::async_trait;

use super::lookups::LookupPermit;

/// Resolves host names. The sender checks the addresses, so an implementation returns all that it finds.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of `name`, a domain name without a trailing dot, in the order in which they are to be tried. An implementation
    /// keeps `permit` until the look-up has ended, also if it goes on after the future was dropped.
    ///
    /// # Errors
    /// The name does not exist or cannot be resolved at present.
    async fn resolve(&self, name: &str, permit: LookupPermit) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str, permit: LookupPermit) -> io::Result<Vec<IpAddr>> {
        // With the dot the name is absolute: the search list of the machine, such as a cluster's internal domains, is not tried.
        let name = format!("{name}.");
        let resolved = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let addresses = (name.as_str(), 0).to_socket_addrs()?;
            Ok(addresses.map(|address| address.ip()).collect())
        });
        resolved.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::super::lookups::Lookups;
    use super::*;

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_an_error() {
        let permit = Lookups::default().permit(&"acme".parse().unwrap()).await;
        // RFC 6761: `invalid` never exists.
        assert!(SystemResolver.resolve("streamio.invalid", permit).await.is_err());
    }
}
