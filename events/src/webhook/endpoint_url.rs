//! The URL of a webhook endpoint, and the rules that say which URLs a project may register.
//!
//! The form of a URL is checked when it is parsed, in a request or in a recorded event. The operator's [`Rules`] are checked when an
//! endpoint is registered and again for each request to it, because an operator may tighten them. The addresses that a name resolves
//! to are checked by the sender when it connects.
//!
//! URLs are parsed as RFC 3986 defines, by the library that the Worker contains anyway, and hosts more strictly than browsers do: what
//! programs read in different ways is either refused or written in its one normal form, so that what was checked is what is connected
//! to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr as _;

use ipnet::IpNet;
use iri_string::format::ToDedicatedString as _;
use iri_string::types::UriStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::webhook::address::{self, AddressRefusal};

mod host;

pub use host::Host;

/// The maximum length of a URL, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// The ports that are allowed by default: those of HTTPS servers.
pub const DEFAULT_PORTS: [u16; 2] = [443, 8443];

/// Which endpoint URLs the operator allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The allowed ports. Without a list, a webhook could be sent to any service at a public address, such as a mail server.
    pub ports: Vec<u16>,
    /// Whether `localhost` and loopback addresses are allowed: at any port, with `https` and with `http`. For development on one
    /// machine.
    pub loopback: bool,
    /// Networks whose addresses are allowed although they are not on the public internet. If there are any, names of private networks
    /// such as `hooks.internal` are allowed too, and their addresses decide.
    pub networks: Vec<IpNet>,
}

impl Default for Rules {
    /// [`DEFAULT_PORTS`], and only addresses on the public internet.
    fn default() -> Self {
        Self { ports: DEFAULT_PORTS.to_vec(), loopback: false, networks: Vec::new() }
    }
}

impl Rules {
    /// Why no webhook is sent to `address`; `None` if it is in one of [`Rules::networks`] or on the public internet. The permission of
    /// [`Rules::loopback`] does not count here: it is for hosts that are written as `localhost` or as a loopback address, so that no
    /// other name can lead to this machine.
    pub fn refusal(&self, address: IpAddr) -> Option<AddressRefusal> {
        if self.networks.iter().any(|network| network.contains(&address)) {
            return None;
        }
        address::refusal(address)
    }
}

/// What is wrong with the URL of an endpoint and what to do. Never repeats the URL, which may contain a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpointUrl {
    /// Longer than [`MAX_LENGTH`].
    #[error("the URL is longer than 2,048 bytes; use a shorter one")]
    TooLong,
    /// Not an absolute URL as of RFC 3986.
    #[error(
        "the text is not a URL; write it as https://host/path, in ASCII, with all other characters percent-encoded"
    )]
    NotAUrl,
    /// Another scheme than `http` and `https`.
    #[error("the URL does not begin with https://; use an https:// URL")]
    Scheme,
    /// `http`, where only `https` is allowed.
    #[error(
        "the URL does not begin with https://; use an https:// URL (http:// is for loopback addresses only, and only where the operator allows them)"
    )]
    NotEncrypted,
    /// Has a user name or a password.
    #[error(
        "the URL contains a user name or a password; remove it and verify the signature of each message instead"
    )]
    UserInfo,
    /// Has a fragment.
    #[error("the URL contains a fragment, which is never sent; remove the `#` and what follows it")]
    Fragment,
    /// The host is neither a domain name nor an IP address.
    #[error(
        "the URL's host is neither a domain name nor an IP address; write international domain names in Punycode (xn--…)"
    )]
    Host,
    /// The host is a name of a private network, such as `localhost`.
    #[error("the URL's host is a name of a private network; use a name of the public DNS")]
    LocalName,
    /// The host is an IP address that no webhook is sent to.
    #[error("the URL's host is an address {0}; use an address on the public internet")]
    Address(AddressRefusal),
    /// The port is not in the operator's list.
    #[error("the URL's port is not allowed; use one of these: {}", list(.allowed))]
    Port {
        /// The allowed ports.
        allowed: Vec<u16>,
    },
}

fn list(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// The URL of a webhook endpoint in its normal form: scheme and host in lower case, no trailing dot in the host, an IPv4 address in four
/// decimal numbers, no default port, a path without `.` and `..` segments. Its JSON is that text.
///
/// Path and query may contain a token of the receiver, so [`fmt::Debug`] does not show them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EndpointUrl {
    text: String,
    /// Where the path begins in `text`.
    path: usize,
    is_https: bool,
    host: Host,
    port: u16,
}

impl EndpointUrl {
    /// Parses `text` and checks it against the operator's rules.
    ///
    /// # Errors
    /// What is wrong with the URL, and what to do.
    pub fn parse(text: &str, rules: &Rules) -> Result<Self, InvalidEndpointUrl> {
        let url = Self::of_any_rules(text)?;
        url.check(rules)?;
        Ok(url)
    }

    /// Checks the URL against the operator's rules.
    ///
    /// # Errors
    /// What is not allowed, and what to do.
    pub fn check(&self, rules: &Rules) -> Result<(), InvalidEndpointUrl> {
        if self.host.is_loopback() && rules.loopback {
            return Ok(());
        }
        if !self.is_https {
            return Err(InvalidEndpointUrl::NotEncrypted);
        }
        match &self.host {
            Host::Name(name) => {
                if name == host::LOCALHOST || (rules.networks.is_empty() && host::is_local_name(name)) {
                    return Err(InvalidEndpointUrl::LocalName);
                }
            }
            Host::Address(address) => {
                if let Some(refusal) = rules.refusal(*address) {
                    return Err(InvalidEndpointUrl::Address(refusal));
                }
            }
        }
        if !rules.ports.contains(&self.port) {
            return Err(InvalidEndpointUrl::Port { allowed: rules.ports.clone() });
        }
        Ok(())
    }

    /// Parses `text` and checks only its form.
    pub(super) fn of_any_rules(text: &str) -> Result<Self, InvalidEndpointUrl> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidEndpointUrl::TooLong);
        }
        let url = UriStr::new(text).map_err(|_| InvalidEndpointUrl::NotAUrl)?;
        let is_https = match url.scheme_str().to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(InvalidEndpointUrl::Scheme),
        };
        let authority = url.authority_components().ok_or(InvalidEndpointUrl::NotAUrl)?;
        if authority.userinfo().is_some() {
            return Err(InvalidEndpointUrl::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(InvalidEndpointUrl::Fragment);
        }
        let host = Host::parse(authority.host()).ok_or(InvalidEndpointUrl::Host)?;
        let (scheme, default_port) = if is_https { ("https", 443) } else { ("http", 80) };
        let port = match authority.port() {
            None | Some("") => default_port,
            Some(digits) => u16::from_str(digits).map_err(|_| InvalidEndpointUrl::NotAUrl)?,
        };
        let mut normal = format!("{scheme}://{host}");
        if port != default_port {
            normal.push(':');
            normal.push_str(&port.to_string());
        }
        let path = normal.len();
        let url = url.normalize().to_dedicated_string();
        match url.path_str() {
            "" => normal.push('/'),
            path => normal.push_str(path),
        }
        if let Some(query) = url.query_str() {
            normal.push('?');
            normal.push_str(query);
        }
        if normal.len() > MAX_LENGTH {
            return Err(InvalidEndpointUrl::TooLong);
        }
        Ok(Self { text: normal, path, is_https, host, port })
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `scheme://host[:port]`, which contains no secret.
    pub fn origin(&self) -> &str {
        &self.text[..self.path]
    }

    /// `host[:port]`, the value of the header `Host`.
    pub fn authority(&self) -> &str {
        let origin = self.origin();
        origin.split_once("://").map_or(origin, |(_, authority)| authority)
    }

    /// The path, which begins with a slash, and the query with its `?`.
    pub fn path_and_query(&self) -> &str {
        &self.text[self.path..]
    }

    /// Whether the scheme is `https`; otherwise it is `http`.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, which is the scheme's default where the URL states none.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/…", self.origin())
    }
}

impl Serialize for EndpointUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for EndpointUrl {
    /// Checks only the form: recorded events stay readable when an operator tightens the rules. Call [`EndpointUrl::check`] before use.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of_any_rules(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
