//! The base URL of the CDN.

use http::Uri;
use http::uri::Authority;

/// The scheme, host and port that viewers use, such as `http://127.0.0.1:8082` or `https://cdn.example.com`. Signed
/// resources begin with exactly this text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    host: String,
    port: u16,
    default_port: u16,
}

/// A text that is not a valid base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a base URL of a CDN: give http:// or https://, a host and optionally a port, without a path"
)]
pub struct InvalidBaseUrl {
    text: String,
}

impl BaseUrl {
    /// Parses `scheme://host[:port]`. One trailing slash is removed.
    ///
    /// # Errors
    /// [`InvalidBaseUrl`] for another scheme, user information, a path, a query or a fragment.
    pub fn parse(text: &str) -> Result<Self, InvalidBaseUrl> {
        Self::try_parse(text).ok_or_else(|| InvalidBaseUrl { text: text.to_owned() })
    }

    fn try_parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let uri = text.parse::<Uri>().ok()?;
        let default_port = match uri.scheme_str()? {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let (host, port) = host_and_port(uri.authority()?.as_str())?;
        // The parser drops fragments and adds a slash, so the text is compared with what was parsed.
        let (scheme, rest) = text.split_once("://")?;
        if !scheme.eq_ignore_ascii_case(uri.scheme_str()?) || rest != uri.authority()?.as_str() {
            return None;
        }
        Some(Self { text: text.to_owned(), host, port: port.unwrap_or(default_port), default_port })
    }

    /// The text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a `Host` header (or the authority of an absolute request target) names this host and port.
    pub fn matches_authority(&self, authority: &str) -> bool {
        host_and_port(authority).is_some_and(|(host, port)| {
            host.eq_ignore_ascii_case(&self.host) && port.unwrap_or(self.default_port) == self.port
        })
    }
}

fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let authority = text.parse::<Authority>().ok()?;
    let host = authority.host();
    if host.is_empty() {
        return None;
    }
    // Also refuses user information, which would precede the host.
    let port = match text.strip_prefix(host)? {
        "" | ":" => None,
        port => Some(port.strip_prefix(':')?.parse().ok()?),
    };
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_only_a_scheme_a_host_and_a_port() {
        for good in ["http://127.0.0.1:8082", "https://cdn.example.com", "http://[::1]:9", "https://h:443/"] {
            assert_eq!(BaseUrl::parse(good).unwrap().as_str(), good.trim_end_matches('/'));
        }
        for bad in [
            "",
            "cdn.example.com",
            "ftp://h",
            "http://",
            "http://h/videos",
            "http://h//",
            "http://h?a=1",
            "http://h#f",
            "http://user@h",
            "http://user:secret@h:80",
            "http://h:port",
            "http://h:70000",
            "http://a b",
        ] {
            let error = BaseUrl::parse(bad).expect_err(bad);
            assert!(error.to_string().contains("is not a base URL"), "{error}");
        }
    }

    #[test]
    fn a_host_is_compared_case_insensitively_and_with_the_default_port() {
        let cdn = BaseUrl::parse("https://cdn.example.com").unwrap();
        for authority in ["cdn.example.com", "CDN.Example.com", "cdn.example.com:443", "cdn.example.com:"] {
            assert!(cdn.matches_authority(authority), "{authority}");
        }
        for other in [
            "",
            "example.com",
            "cdn.example.com.",
            "cdn.example.com:80",
            "cdn.example.com:70000",
            "x@cdn.example.com",
        ] {
            assert!(!cdn.matches_authority(other), "{other}");
        }
        let local = BaseUrl::parse("http://127.0.0.1:8082").unwrap();
        assert!(local.matches_authority("127.0.0.1:8082"));
        assert!(!local.matches_authority("127.0.0.1"));
        assert!(!local.matches_authority("localhost:8082"));
    }
}
