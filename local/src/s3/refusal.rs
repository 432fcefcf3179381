//! S3 errors with the elements that say what differs, and the XML document of an error response:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use http::Response;
use http::header::CONTENT_LENGTH;
use quick_xml::escape::escape;
use s3s::{Body, S3Error};

/// Elements of an error document in addition to `Code` and `Message`: names and values, in order. The names are S3's.
pub(super) type Details = Vec<(&'static str, String)>;

/// An S3 error and its details.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: S3Error,
    pub(super) details: Details,
}

impl From<S3Error> for Refusal {
    fn from(error: S3Error) -> Self {
        Self { error, details: Details::new() }
    }
}

/// The end of the document that `s3s` writes.
const END: &[u8] = b"</Error>";

/// The messages of errors that `s3s` reports without one.
const MESSAGES: &[(&str, &str)] = &[
    (
        "IncompleteBody",
        "The body has fewer bytes than the header Content-Length states; send the request again",
    ),
    (
        "InternalError",
        "The server failed; send the request again, and report its RequestId if that fails too",
    ),
    ("InvalidRange", "The object does not have the requested range"),
    (
        "MalformedXML",
        "The body is not the XML document of this operation; see the operation in the S3 API reference",
    ),
    ("MaxMessageLengthExceeded", "The XML document in the body is too long; the most is 20 MiB"),
    ("MethodNotAllowed", "The method is not allowed for this resource"),
    ("MissingContentLength", "The header Content-Length is missing; state the length of the body"),
    ("NotImplemented", "This server does not have this operation"),
];

/// Adds a missing message, the details, the resource and the request id to the document of an error response. Other responses stay
/// as they are.
pub(super) fn complete(response: &mut Response<Body>, details: &Details, resource: &str, request_id: &str) {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return;
    }
    let Some(document) = response.body().bytes() else { return };
    let Some(start) = document.strip_suffix(END) else { return };
    let mut document = start.to_vec();
    if let Some(message) = missing_message(start) {
        document.extend(format!("<Message>{message}</Message>").bytes());
    }
    let general = [("Resource", resource.to_owned()), ("RequestId", request_id.to_owned())];
    for (name, value) in details.iter().chain(&general) {
        let value = xml_text(value);
        document.extend(format!("<{name}>{}</{name}>", escape(value.as_str())).bytes());
    }
    document.extend(END);
    // The server computes it from the body.
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from(document);
}

/// The message for an error document that ends after its code, if there is one for the code.
fn missing_message(start: &[u8]) -> Option<&'static str> {
    let (_, code) = std::str::from_utf8(start.strip_suffix(b"</Code>")?).ok()?.rsplit_once("<Code>")?;
    MESSAGES.iter().find(|(of, _)| *of == code).map(|(_, message)| *message)
}

/// The text with the characters that XML 1.0 cannot represent replaced by U+FFFD:
/// <https://www.w3.org/TR/xml/#charsets>.
fn xml_text(text: &str) -> String {
    let representable = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|character| if representable(character) { character } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;
    use s3s::s3_error;

    use super::*;

    fn document(mut response: Response<Body>, details: &Details, resource: &str) -> String {
        complete(&mut response, details, resource, "R1");
        String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn details_resource_and_request_id_follow_the_message() {
        let response = s3_error!(EntityTooLarge, "too <large>").to_http_response().unwrap();
        let details = vec![("ProposedSize", "9".to_owned()), ("MaxSizeAllowed", "5".to_owned())];
        assert_eq!(
            document(response, &details, "/raw/a&b"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>EntityTooLarge</Code>\
             <Message>too &lt;large&gt;</Message><ProposedSize>9</ProposedSize><MaxSizeAllowed>5</MaxSizeAllowed>\
             <Resource>/raw/a&amp;b</Resource><RequestId>R1</RequestId></Error>"
        );
    }

    #[test]
    fn an_error_without_a_message_gets_one() {
        let response = s3_error!(MalformedXML).to_http_response().unwrap();
        let document = document(response, &Details::new(), "/");
        assert!(document.contains("<Code>MalformedXML</Code><Message>The body is not the XML"), "{document}");
    }

    #[test]
    fn a_response_that_is_not_an_error_document_stays_as_it_is() {
        let details = vec![("ProposedSize", "9".to_owned())];
        let response = Response::new(Body::from("<Error></Error>".to_owned()));
        assert_eq!(document(response, &details, "/"), "<Error></Error>");
        let mut response = Response::new(Body::from("plain text".to_owned()));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        assert_eq!(document(response, &details, "/"), "plain text");
    }

    proptest! {
        #[test]
        fn any_text_results_in_a_document_that_can_be_parsed(text in any::<String>()) {
            let response = s3_error!(AccessDenied, "no").to_http_response().unwrap();
            let document = document(response, &vec![("StringToSign", text.clone())], &text);
            let mut reader = quick_xml::Reader::from_str(&document);
            let mut read = String::new();
            loop {
                match reader.read_event().unwrap() {
                    quick_xml::events::Event::Eof => break,
                    quick_xml::events::Event::Text(text) => read.push_str(&text.decode().unwrap()),
                    _ => {}
                }
            }
            prop_assert!(read.starts_with("AccessDeniedno"), "{}", document);
        }
    }
}
