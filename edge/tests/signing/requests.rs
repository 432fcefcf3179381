//! Generated S3 requests, for both this crate and the `aws-sigv4` crate.

use std::borrow::Cow;

use http::Method;
use proptest::prelude::*;
use streamio_edge::sign::s3::{AddressStyle, Bucket, BucketSigner, ObjectRequest};
use streamio_edge::sign::sigv4::Credentials;

use crate::encoding::percent;

const UNRESERVED: &str = "-_.~";

pub(crate) type Pairs = Vec<(String, String)>;

/// A bucket, and the expected base URL of its objects.
#[derive(Debug, Clone)]
pub(crate) struct BucketAddress {
    pub(crate) endpoint: &'static str,
    pub(crate) region: &'static str,
    pub(crate) bucket: String,
    pub(crate) style: AddressStyle,
    pub(crate) base_url: String,
}

#[derive(Debug, Clone)]
pub(crate) struct TestCredentials {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) key: String,
    pub(crate) query: Pairs,
    pub(crate) headers: Pairs,
}

pub(crate) fn bucket_addresses() -> impl Strategy<Value = BucketAddress> {
    let label = "[a-z0-9][a-z0-9-]{1,20}[a-z0-9]";
    let by_host = (label, 0..4_usize).prop_map(|(bucket, which)| {
        let (endpoint, region, base_url) = match which {
            0 => (
                "https://s3.eu-west-1.amazonaws.com",
                "eu-west-1",
                format!("https://{bucket}.s3.eu-west-1.amazonaws.com/"),
            ),
            1 => ("http://localhost:9000", "us-east-1", format!("http://{bucket}.localhost:9000/")),
            2 => (
                "https://Storage.Example:443/base",
                "auto",
                format!("https://{bucket}.storage.example/base/"),
            ),
            _ => (
                "http://s3.example:80/a%20b/c/",
                "us_local-1",
                format!("http://{bucket}.s3.example/a%20b/c/"),
            ),
        };
        BucketAddress { endpoint, region, bucket, style: AddressStyle::VirtualHosted, base_url }
    });
    let dotted = (label, prop::option::of(label)).prop_map(|(first, second)| match second {
        Some(second) => format!("{first}.{second}"),
        None => first,
    });
    let by_path = (dotted, 0..4_usize).prop_map(|(bucket, which)| {
        let (endpoint, region, base_url) = match which {
            0 => (
                "https://s3.eu-west-1.amazonaws.com/",
                "eu-west-1",
                format!("https://s3.eu-west-1.amazonaws.com/{bucket}/"),
            ),
            1 => ("http://127.0.0.1:9000", "us-east-1", format!("http://127.0.0.1:9000/{bucket}/")),
            2 => ("http://[::1]:9000/base", "auto", format!("http://[::1]:9000/base/{bucket}/")),
            _ => ("https://s3.example:443", "us-east-1", format!("https://s3.example/{bucket}/")),
        };
        BucketAddress { endpoint, region, bucket, style: AddressStyle::Path, base_url }
    });
    prop_oneof![by_host, by_path]
}

pub(crate) fn credentials() -> impl Strategy<Value = TestCredentials> {
    ("[A-Za-z0-9_.-]{1,40}", "[ -~]{1,60}", prop::option::of("[!-~]{1,300}"))
        .prop_map(|(id, secret, token)| TestCredentials { id, secret, token })
}

/// Any text, and combinations of texts that are often signed incorrectly.
pub(crate) fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z0-9]{1,5}",
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            "/",
            "//",
            ".",
            "..",
            "/./",
            "/../",
            " ",
            "  ",
            "+",
            "%",
            "%2F",
            "%25",
            "%%",
            "'",
            "\"",
            "~",
            "*",
            "(",
            ")",
            "!",
            "?",
            "#",
            "&",
            "=",
            ";",
            ":",
            "@",
            "\\",
            "\0",
            "\n",
            "\u{7f}",
            "é",
            "e\u{301}",
            "日本語",
            "𝄞",
            "🎬",
        ])
        .prop_map(String::from),
    ];
    prop::collection::vec(piece, 1..20).prop_map(|pieces| pieces.concat())
}

pub(crate) fn keys() -> impl Strategy<Value = String> {
    hostile_text().prop_filter("S3's limit", |key| key.len() <= 1024)
}

pub(crate) fn headers() -> impl Strategy<Value = Pairs> {
    let known = prop::sample::select(vec![
        "content-type",
        "Content-Type",
        "content-length",
        "content-md5",
        "x-amz-checksum-sha256",
        "if-none-match",
        "If-Match",
        "x-amz-acl",
        "x-amz-meta-title",
        "X-Amz-Meta-Title",
        "x-amz-storage-class",
        "range",
        "date",
    ])
    .prop_map(String::from);
    let name = prop_oneof![3 => known, 1 => "x-amz-meta-[a-z0-9-]{1,12}", 1 => "[A-Za-z]{1,3}[A-Za-z0-9!#$&'*.^_|~-]{5,12}"];
    let value = prop_oneof!["[!-~]{0,20}", "[ -~\t]{0,20}", " {0,3}[a-z]{0,3} {0,3}[a-z]{1,3} {0,3}"];
    prop::collection::vec((name, value), 0..6)
}

pub(crate) fn query() -> impl Strategy<Value = Pairs> {
    let known = prop::sample::select(vec![
        ("partNumber", "7"),
        ("uploadId", "a/b+c=="),
        ("uploads", ""),
        ("x-amz-meta-streamio-grant", "grt_2"),
        ("versionId", "~"),
        ("X-Amz-Checksum-Mode", "1"),
        ("a", ""),
        ("a-", ""),
        ("a.", "2"),
        ("a", "1"),
        ("A", "="),
        ("X-Amz-", ""),
        ("Zz", "&"),
        ("0", "0"),
    ])
    .prop_map(|(name, value)| (name.to_owned(), value.to_owned()));
    prop::collection::vec(
        prop_oneof![known, (hostile_text(), prop_oneof![Just(String::new()), hostile_text()])],
        0..5,
    )
}

pub(crate) fn methods() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![Method::PUT, Method::GET, Method::HEAD, Method::POST, Method::DELETE])
}

pub(crate) fn requests() -> impl Strategy<Value = Request> {
    (methods(), keys(), query(), headers()).prop_map(|(method, key, query, headers)| Request {
        method,
        key,
        query,
        headers,
    })
}

pub(crate) fn borrowed(pairs: &Pairs) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    pairs.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect()
}

impl BucketAddress {
    pub(crate) fn signer(&self, credentials: &TestCredentials) -> BucketSigner {
        let bucket =
            Bucket::new(self.endpoint, self.region, &self.bucket, self.style).expect("a valid bucket");
        BucketSigner::new(bucket, credentials.to_edge())
    }
}

impl TestCredentials {
    pub(crate) fn to_edge(&self) -> Credentials {
        let credentials = Credentials::new(&self.id, &self.secret).expect("valid credentials");
        match &self.token {
            Some(token) => credentials.with_session_token(token).expect("a valid token"),
            None => credentials,
        }
    }

    pub(crate) fn to_aws(&self) -> aws_credential_types::Credentials {
        aws_credential_types::Credentials::new(&self.id, &self.secret, self.token.clone(), None, "test")
    }
}

impl Request {
    pub(crate) fn to_edge(&self) -> ObjectRequest<'_> {
        let mut request = ObjectRequest::new(self.method.clone(), &self.key);
        for (name, value) in &self.query {
            request = request.query(name, value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    pub(crate) fn url(&self, base_url: &str) -> String {
        with_query(base_url.to_owned() + &percent(&self.key, "-_.~/"), &self.query)
    }
}

pub(crate) fn with_query(url: String, query: &Pairs) -> String {
    let pairs =
        query.iter().map(|(name, value)| [percent(name, UNRESERVED), percent(value, UNRESERVED)].join("="));
    match pairs.collect::<Vec<_>>().join("&") {
        query if query.is_empty() => url,
        query => url + "?" + &query,
    }
}
