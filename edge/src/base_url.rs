//! Base URLs of other services, from the operator's settings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// An `http://` or `https://` URL with an ASCII host and without user, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    scheme: &'static str,
    host: Host,
    port: Option<u16>,
    path: String,
}

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A DNS name, in lower case.
    Name(String),
    /// An IP address.
    Ip(IpAddr),
}

impl BaseUrl {
    /// Parses `text`; `None` if it is not such a URL. Converts the host to lower case; removes the scheme's default port
    /// and trailing slashes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // `Uri` discards a fragment without an error.
        let uri: Uri = Some(text).filter(|text| !text.contains('#'))?.parse().ok()?;
        let (scheme, default_port) = match uri.scheme_str()? {
            "http" => ("http", 80),
            "https" => ("https", 443),
            _ => return None,
        };
        let authority = uri.authority().filter(|it| !it.as_str().contains('@'))?;
        let has_port = authority.as_str().len() > authority.host().len();
        let port = if has_port { Some(authority.port_u16()?) } else { None };
        let path = uri.path().trim_end_matches('/');
        if uri.query().is_some() || path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return None;
        }
        Some(Self {
            scheme,
            host: Host::parse(authority.host())?,
            port: port.filter(|port| *port != default_port),
            path: path.to_owned(),
        })
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The host.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The path: empty, or with a leading slash and without a trailing one.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// `scheme://host[:port]`.
    pub(crate) fn origin(&self) -> String {
        match &self.host {
            Host::Name(name) => self.origin_of(name),
            Host::Ip(_) => self.origin_of(&self.host.to_string()),
        }
    }

    /// The origin with `host` in place of this one's.
    pub(crate) fn origin_of(&self, host: &str) -> String {
        // Without `format!`: this runs at the start of an isolate, which would have to compile the formatting code first.
        match self.port {
            None => [self.scheme, "://", host].concat(),
            Some(port) => [self.scheme, "://", host, ":", &port.to_string()].concat(),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.origin(), self.path)
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Some(Self::Ip(IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)));
        }
        if text.starts_with(|c: char| c.is_ascii_digit())
            && let Ok(address) = text.parse::<Ipv4Addr>()
        {
            return Some(Self::Ip(IpAddr::V4(address)));
        }
        let mut labels = text.split('.');
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        // The URL standard parses a host that ends in a number as an IPv4 address in one of several legacy forms. Refused.
        let ends_in_number =
            text.rsplit('.').next().is_some_and(|label| label.starts_with(|c: char| c.is_ascii_digit()));
        let is_name = text.len() <= 253 && labels.all(is_label) && !ends_in_number;
        is_name.then(|| Self::Name(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Ip(IpAddr::V4(address)) => address.fmt(formatter),
            // The URL standard writes an IPv4-mapped address without dots.
            Self::Ip(IpAddr::V6(address)) => match (address.to_ipv4_mapped(), address.segments()) {
                (Some(_), [.., high, low]) => write!(formatter, "[::ffff:{high:x}:{low:x}]"),
                (None, _) => write!(formatter, "[{address}]"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalized(text: &str) -> Option<String> {
        BaseUrl::parse(text).map(|url| url.to_string())
    }

    #[test]
    fn a_valid_url_is_normalized() {
        for (text, expected) in [
            ("https://Cdn.Example", "https://cdn.example"),
            ("https://cdn.example/", "https://cdn.example"),
            ("https://cdn.example:443/videos//", "https://cdn.example/videos"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://[::0001]:80", "http://[::1]"),
            ("http://[::ffff:127.0.0.1]:80", "http://[::ffff:7f00:1]"),
            ("http://localhost:8080/a%20b", "http://localhost:8080/a%20b"),
        ] {
            assert_eq!(normalized(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn invalid_urls_are_refused() {
        for text in [
            "",
            "cdn.example",
            "//cdn.example",
            "ftp://cdn.example",
            "https://",
            "https:///a",
            "https://user@cdn.example",
            "https://user:secret@cdn.example",
            "https://cdn.example?a=b",
            "https://cdn.example/#a",
            "https://cdn.example#",
            "https://cdn.example:",
            "https://cdn.example:99999",
            "https://cdn..example",
            "https://.example",
            "https://127.1",
            "https://0x7f.0.0.1",
            "https://[::1",
            "https://cdn.example/../a",
            "https://cdn.exämple",
            "https://cdn example",
        ] {
            assert_eq!(normalized(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_url_is_parsed_as_by_the_url_standard(
            scheme in "https?", host in "([a-zA-Z0-9_-]{1,8}\\.){0,3}[a-zA-Z0-9_-]{1,8}|[0-9.]{1,12}|\\[[0-9a-f:]{2,12}\\]",
            port in "(:[0-9]{1,5})?", path in "(/[a-zA-Z0-9._~-]{0,4}){0,3}",
        ) {
            // The standard decodes punycode labels and refuses invalid ones.
            let is_punycode = |label: &str| label.to_ascii_lowercase().starts_with("xn--");
            prop_assume!(!host.split('.').any(is_punycode));
            let text = format!("{scheme}://{host}{port}{path}");
            if let Some(parsed) = BaseUrl::parse(&text) {
                let standard = url::Url::parse(&text).unwrap();
                prop_assert_eq!(parsed.origin(), standard.origin().ascii_serialization());
                prop_assert_eq!(parsed.path(), standard.path().trim_end_matches('/'));
            }
        }
    }
}
