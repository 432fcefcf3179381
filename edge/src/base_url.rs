//! Addresses of other services, as operators write them: a scheme, a host, perhaps a port and a path.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// An `http://` or `https://` URL without user, query and fragment, whose host is ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    scheme: &'static str,
    host: Host,
    port: Option<u16>,
    path: String,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name, in lower case.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

impl BaseUrl {
    /// Reads `text`; `None` where it is anything else. The host's letters become small, the scheme's own port and the
    /// slashes at the end are left out.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // `Uri` drops a fragment without a word.
        let uri: Uri = Some(text).filter(|text| !text.contains('#'))?.parse().ok()?;
        let (scheme, own_port) = match uri.scheme_str()? {
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
            port: port.filter(|port| *port != own_port),
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

    /// The path without a slash at its end: empty, or beginning with one.
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

    /// The origin of another host that answers at the same port.
    pub(crate) fn origin_of(&self, host: &str) -> String {
        // Put together without `format!`, as all that an isolate's start makes: it would wait for that to be compiled.
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
        // What ends in a number is an address to browsers, in one of many old forms: nobody should have to guess.
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
            // The URL standard has no dots in it, not even where it holds an address of four numbers.
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

    fn shown(text: &str) -> Option<String> {
        BaseUrl::parse(text).map(|url| url.to_string())
    }

    #[test]
    fn an_address_is_read_in_its_one_form() {
        for (text, expected) in [
            ("https://Cdn.Example", "https://cdn.example"),
            ("https://cdn.example/", "https://cdn.example"),
            ("https://cdn.example:443/videos//", "https://cdn.example/videos"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://[::0001]:80", "http://[::1]"),
            ("http://[::ffff:127.0.0.1]:80", "http://[::ffff:7f00:1]"),
            ("http://localhost:8080/a%20b", "http://localhost:8080/a%20b"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
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
            assert_eq!(shown(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_url_standard_reads(
            scheme in "https?", host in "([a-zA-Z0-9_-]{1,8}\\.){0,3}[a-zA-Z0-9_-]{1,8}|[0-9.]{1,12}|\\[[0-9a-f:]{2,12}\\]",
            port in "(:[0-9]{1,5})?", path in "(/[a-zA-Z0-9._~-]{0,4}){0,3}",
        ) {
            // Such a label is an encoded one: the standard decodes it, and refuses many that are not as they should be.
            let is_encoded = |label: &str| label.to_ascii_lowercase().starts_with("xn--");
            prop_assume!(!host.split('.').any(is_encoded));
            let text = format!("{scheme}://{host}{port}{path}");
            if let Some(read) = BaseUrl::parse(&text) {
                let standard = url::Url::parse(&text).unwrap();
                prop_assert_eq!(read.origin(), standard.origin().ascii_serialization());
                prop_assert_eq!(read.path(), standard.path().trim_end_matches('/'));
            }
        }
    }
}
