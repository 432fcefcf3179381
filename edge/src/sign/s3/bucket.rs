use crate::base_url::{BaseUrl, Host};

/// How a URL names its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressStyle {
    /// `https://bucket.host/key`: recommended by AWS.
    VirtualHosted,
    /// `https://host/bucket/key`: needed by local servers and for bucket names with dots.
    Path,
}

/// A bucket's name, region and base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    name: String,
    region: String,
    origin: String,
    path_prefix: String,
}

/// Why a bucket's address is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBucket {
    /// The endpoint is not a URL, or has parts that an endpoint cannot have.
    #[error(
        "an S3 endpoint is an http:// or https:// URL without user, query and fragment, such as https://host:9000"
    )]
    Endpoint,
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
    #[error(
        "a bucket name is 3 to 63 characters of a-z, 0-9, '-', '.', with a letter or digit at both ends and beside \
         every dot, and is not an IP address"
    )]
    Name,
    /// The region is part of the credential scope of every signature.
    #[error("a region is one or more characters of a-z, A-Z, 0-9, '-', '_', such as eu-west-1")]
    Region,
    /// `bucket.127.0.0.1` is not a host.
    #[error(
        "the endpoint's host is an IP address, which cannot have a bucket's name as its subdomain: use path style"
    )]
    VirtualHostOnIpAddress,
    /// A wildcard certificate covers only one label.
    #[error("TLS certificates do not cover bucket names with dots as hosts: use path style")]
    VirtualHostWithDots,
}

impl Bucket {
    /// The bucket `name` of the S3 server at `endpoint`, a URL that may have a base path.
    pub fn new(endpoint: &str, region: &str, name: &str, style: AddressStyle) -> Result<Self, InvalidBucket> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/%".contains(&byte);
        let endpoint = BaseUrl::parse(endpoint)
            .filter(|url| url.path().bytes().all(is_plain))
            .ok_or(InvalidBucket::Endpoint)?;
        if !is_bucket_name(name) {
            return Err(InvalidBucket::Name);
        }
        if region.is_empty()
            || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            return Err(InvalidBucket::Region);
        }
        let origin = match (style, endpoint.host()) {
            (AddressStyle::Path, _) => endpoint.origin(),
            (AddressStyle::VirtualHosted, Host::Ip(_)) => return Err(InvalidBucket::VirtualHostOnIpAddress),
            (AddressStyle::VirtualHosted, _) if name.contains('.') && endpoint.scheme() == "https" => {
                return Err(InvalidBucket::VirtualHostWithDots);
            }
            (AddressStyle::VirtualHosted, Host::Name(host)) => {
                endpoint.origin_of(&[name, ".", host].concat())
            }
        };
        let base = endpoint.path();
        let path_prefix = match style {
            AddressStyle::Path => [base, "/", name, "/"].concat(),
            AddressStyle::VirtualHosted => [base, "/"].concat(),
        };
        Ok(Self { name: name.to_owned(), region: region.to_owned(), origin, path_prefix })
    }

    /// A bucket on AWS: `https://{name}.s3.{region}.amazonaws.com`, or path style if its name has dots.
    pub fn on_aws(region: &str, name: &str) -> Result<Self, InvalidBucket> {
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let style = if name.contains('.') { AddressStyle::Path } else { AddressStyle::VirtualHosted };
        Self::new(&format!("https://s3.{region}.{domain}"), region, name, style)
    }

    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The region in the credential scope.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// `scheme://host[:port]`.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The path before a key. It begins and ends with `/`.
    pub(super) fn path_prefix(&self) -> &str {
        &self.path_prefix
    }
}

fn is_bucket_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        label.bytes().next().is_some_and(plain)
            && label.bytes().next_back().is_some_and(plain)
            && label.bytes().all(|byte| plain(byte) || byte == b'-')
    };
    (3..=63).contains(&name.len())
        && name.split('.').all(is_label)
        && !(name.starts_with(|c: char| c.is_ascii_digit()) && name.parse::<std::net::Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::AddressStyle::{Path, VirtualHosted};
    use super::*;

    fn address(endpoint: &str, name: &str, style: AddressStyle) -> Result<String, InvalidBucket> {
        Bucket::new(endpoint, "eu-west-1", name, style).map(|bucket| bucket.origin + &bucket.path_prefix)
    }

    #[test]
    fn a_bucket_is_addressed_by_host_or_by_path() {
        let cases = [
            ("https://s3.eu-west-1.amazonaws.com", VirtualHosted, "https://raw.s3.eu-west-1.amazonaws.com/"),
            ("https://s3.eu-west-1.amazonaws.com", Path, "https://s3.eu-west-1.amazonaws.com/raw/"),
            ("http://127.0.0.1:9000", Path, "http://127.0.0.1:9000/raw/"),
            ("http://[::1]:9000/", Path, "http://[::1]:9000/raw/"),
            ("http://localhost:9000/base/", VirtualHosted, "http://raw.localhost:9000/base/"),
            ("https://HOST:443/a%20b", Path, "https://host/a%20b/raw/"),
        ];
        for (endpoint, style, expected) in cases {
            assert_eq!(address(endpoint, "raw", style).as_deref(), Ok(expected), "{endpoint}");
        }
    }

    #[test]
    fn buckets_on_aws_use_path_style_only_for_names_with_dots() {
        let address =
            |region, name| Bucket::on_aws(region, name).map(|bucket| bucket.origin + &bucket.path_prefix);
        assert_eq!(address("eu-west-1", "raw").as_deref(), Ok("https://raw.s3.eu-west-1.amazonaws.com/"));
        assert_eq!(address("eu-west-1", "a.raw").as_deref(), Ok("https://s3.eu-west-1.amazonaws.com/a.raw/"));
        assert_eq!(
            address("cn-north-1", "raw").as_deref(),
            Ok("https://raw.s3.cn-north-1.amazonaws.com.cn/")
        );
    }

    #[test]
    fn an_invalid_address_is_refused_with_the_reason() {
        for endpoint in [
            "",
            "host",
            "ftp://host",
            "http://u@host",
            "http://:p@host",
            "http://host?a",
            "http://host#a",
            "http://host/a+b",
        ] {
            assert_eq!(address(endpoint, "raw", Path), Err(InvalidBucket::Endpoint), "{endpoint}");
        }
        for name in
            ["", "ab", "Raw", "-raw", "raw-", "a..b", "a.-b", "a_b", "1.2.3.4", "a/b", &"a".repeat(64)]
        {
            assert_eq!(address("http://host", name, Path), Err(InvalidBucket::Name), "{name}");
        }
        for region in ["", "eu/west", "eu west"] {
            assert_eq!(
                Bucket::new("http://host", region, "raw", Path),
                Err(InvalidBucket::Region),
                "{region}"
            );
        }
        assert_eq!(
            address("http://127.0.0.1", "raw", VirtualHosted),
            Err(InvalidBucket::VirtualHostOnIpAddress)
        );
        assert_eq!(address("https://host", "a.raw", VirtualHosted), Err(InvalidBucket::VirtualHostWithDots));
    }
}
