//! The resolution of host names.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// The maximum number of simultaneous look-ups of the [`SystemResolver`]. Each occupies a thread, for up to half a minute if the name
/// servers do not answer, also after its exchange has ended. tokio has 512 such threads, which other work of the process needs too.
const MAX_LOOKUPS: usize = 128;

/// Resolves host names. The sender checks the addresses, so an implementation returns all that it finds.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of `name`, a domain name without a trailing dot, in the order in which they are to be tried.
    ///
    /// # Errors
    /// The name does not exist or cannot be resolved at present.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let lookup = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        // With the dot the name is absolute: the search list of the machine, such as a cluster's internal domains, is not tried.
        let name = format!("{name}.");
        let resolved = tokio::task::spawn_blocking(move || {
            let _lookup = lookup;
            let addresses = (name.as_str(), 0).to_socket_addrs()?;
            Ok(addresses.map(|address| address.ip()).collect())
        });
        resolved.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_an_error() {
        // RFC 6761: `invalid` never exists.
        assert!(SystemResolver::default().resolve("streamio.invalid").await.is_err());
    }

    #[tokio::test]
    async fn a_look_up_is_given_back() {
        let resolver = SystemResolver::default();
        let _ = resolver.resolve("streamio.invalid").await;
        assert_eq!(resolver.lookups.available_permits(), MAX_LOOKUPS);
    }
}
