//! The reasons for refusing a request, and the XML response in the format of CloudFront and S3.

use std::fmt::Write as _;
use std::io;

use axum::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};

use super::denied::Denied;
use super::object_path::MalformedPath;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The method is not GET, HEAD or OPTIONS.
    #[error("The CDN supports GET, HEAD and OPTIONS only.")]
    Method(Method),
    /// The request has no host.
    #[error("The request needs a Host header.")]
    NoHost,
    /// The request is for another host.
    #[error("This host is not the host of the CDN. Use the URL as it was signed.")]
    OtherHost,
    /// The path is not an encoded key.
    #[error("{}.", capitalized(&.0.to_string()))]
    Path(#[from] MalformedPath),
    /// Access is denied.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// The object does not exist.
    #[error("The specified key does not exist.")]
    NoSuchKey,
    /// `If-Match` or `If-Unmodified-Since` does not hold.
    #[error("The conditions of the request do not hold for the object.")]
    Precondition,
    /// The range contains no byte of the object.
    #[error("The requested range is not satisfiable.")]
    Range {
        /// The object's size in bytes.
        size: u64,
    },
    /// The origin failed.
    #[error("The object could not be read. Try again.")]
    Origin(#[source] io::Error),
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// Escapes what has a meaning in XML, and replaces characters that XML cannot contain.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

impl Refusal {
    /// The status of the response.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoHost | Self::Path(_) => StatusCode::BAD_REQUEST,
            Self::OtherHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::NoSuchKey => StatusCode::NOT_FOUND,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::Range { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Origin(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Method(_) => "MethodNotAllowed",
            Self::NoHost => "InvalidRequest",
            Self::OtherHost => "MisdirectedRequest",
            Self::Path(_) => "InvalidURI",
            Self::Denied(denied) => denied.code(),
            Self::NoSuchKey => "NoSuchKey",
            Self::Precondition => "PreconditionFailed",
            Self::Range { .. } => "InvalidRange",
            Self::Origin(_) => "InternalError",
        }
    }

    /// What differs, as further elements of the XML: names and values.
    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Method(method) => vec![("Method", method.to_string())],
            Self::Denied(denied) => denied.details(),
            Self::Range { size } => vec![("ActualObjectSize", size.to_string())],
            _ => Vec::new(),
        }
    }

    /// The response.
    pub(super) fn to_response(&self) -> Response<Body> {
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{}</Code><Message>{self}</Message>",
            self.code()
        );
        for (name, value) in self.details() {
            // Policies and methods are input.
            write!(xml, "<{name}>{}</{name}>", escape(&value)).expect("writing to a String does not fail");
        }
        xml.push_str("</Error>");
        let mut response = Response::new(Body::from(xml));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let mut set =
            |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
        set(CONTENT_TYPE, "text/xml");
        set(CACHE_CONTROL, "no-store");
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        match self {
            Self::Method(_) => {
                set(ALLOW, "GET, HEAD, OPTIONS");
            }
            Self::Range { size } => {
                let value =
                    HeaderValue::try_from(format!("bytes */{size}")).expect("digits are a header value");
                headers.insert(CONTENT_RANGE, value);
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refusals_are_xml_with_a_code_and_a_message() {
        let denied = [
            Denied::MissingKey,
            Denied::UnknownKey,
            Denied::MissingSignature,
            Denied::MalformedSignature,
            Denied::MissingPolicy,
            Denied::MalformedPolicy,
            Denied::PolicyAndExpires,
            Denied::Duplicated("Policy"),
            Denied::UnknownHashAlgorithm,
            Denied::SignatureMismatch,
            Denied::OtherResource { covered: "http://cdn/a<&>\u{1}/*".into() },
            Denied::Expired { at: 1_767_323_045, now: 1_767_323_105 },
            Denied::NotYetValid { from: 1_767_323_105, now: 1_767_323_045 },
            Denied::OtherAddress {
                covered: "192.0.2.0/24".parse().unwrap(),
                viewer: "198.51.100.7".parse().unwrap(),
            },
        ];
        let others = [
            Refusal::Method(Method::PUT),
            Refusal::NoHost,
            Refusal::OtherHost,
            Refusal::Path(MalformedPath),
            Refusal::NoSuchKey,
            Refusal::Precondition,
            Refusal::Range { size: 7 },
            Refusal::Origin(io::Error::other("disk failure")),
        ];
        let mut lines = String::new();
        for refusal in denied.into_iter().map(Refusal::Denied).chain(others) {
            let response = refusal.to_response();
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), 1 << 10).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let body = body.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error>").unwrap();
            writeln!(lines, "{status} {}", body.strip_suffix("</Error>").unwrap()).unwrap();
        }
        insta::assert_snapshot!(lines);
    }
}
