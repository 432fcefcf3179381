//! Requests that are not served, and the XML that says why, in CloudFront's and S3's manner.

use std::io;

use axum::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::authorize::Denied;
use super::object_path::MalformedPath;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Another method than GET, HEAD and OPTIONS.
    #[error("The CDN answers GET, HEAD and OPTIONS only.")]
    Method,
    /// The request names no host.
    #[error("The request needs a Host header.")]
    NoHost,
    /// The request is for another host.
    #[error("The CDN is not reached under this host: use the URL as it was signed.")]
    OtherHost,
    /// The path is no encoded key.
    #[error("{}.", capital(&.0.to_string()))]
    Path(#[from] MalformedPath),
    /// The viewer is not allowed.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// There is no such object.
    #[error("The specified key does not exist.")]
    NoSuchKey,
    /// `If-Match` or `If-Unmodified-Since` does not hold.
    #[error("The object is not the one that the conditions of the request are about.")]
    Precondition,
    /// The range has no byte of the object.
    #[error("The requested range is not satisfiable.")]
    Range {
        /// The object's size in bytes.
        size: u64,
    },
    /// The origin failed.
    #[error("The object could not be read. Try again.")]
    Origin(#[source] io::Error),
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

impl Refusal {
    /// The status that it is answered with.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
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
            Self::Method => "MethodNotAllowed",
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

    /// The answer. Nothing of the request is in it, so nothing has to be escaped.
    pub(super) fn answer(&self) -> Response<Body> {
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{}</Code><Message>{self}</Message></Error>",
            self.code()
        );
        let mut response = Response::new(Body::from(xml));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let mut set =
            |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
        set(CONTENT_TYPE, "text/xml");
        set(CACHE_CONTROL, "no-store");
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        match self {
            Self::Method => {
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
    use std::fmt::Write as _;

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
            Denied::OtherResource,
            Denied::Expired,
            Denied::NotYetValid,
            Denied::OtherAddress,
        ];
        let others = [
            Refusal::Method,
            Refusal::NoHost,
            Refusal::OtherHost,
            Refusal::Path(MalformedPath),
            Refusal::NoSuchKey,
            Refusal::Precondition,
            Refusal::Range { size: 7 },
            Refusal::Origin(io::Error::other("the disk said no")),
        ];
        let mut lines = String::new();
        for refusal in denied.into_iter().map(Refusal::Denied).chain(others) {
            let answer = refusal.answer();
            let status = answer.status().as_u16();
            let body = axum::body::to_bytes(answer.into_body(), 1 << 10).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let body = body.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error>").unwrap();
            writeln!(lines, "{status} {}", body.strip_suffix("</Error>").unwrap()).unwrap();
        }
        insta::assert_snapshot!(lines);
    }
}
