//! CORS: pages of any origin may use presigned URLs.

use crate::raw::RawRequest;
use crate::server::{RAW, S3TestServer};
use crate::signer::{Signer, path};

#[tokio::test]
async fn a_preflight_request_allows_the_method_and_headers_of_an_upload() {
    let server = S3TestServer::start().await;
    let response = RawRequest::new("OPTIONS", path(RAW, "k"))
        .header("origin", "https://tenant.example")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "content-type,x-amz-checksum-sha256,x-anything")
        .send(server.address)
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["access-control-allow-origin"], "*");
    assert_eq!(
        response.headers["access-control-allow-headers"],
        "content-type,x-amz-checksum-sha256,x-anything"
    );
    assert!(response.headers["access-control-allow-methods"].split(',').any(|method| method == "PUT"));
    assert!(!response.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn a_page_can_read_the_entity_tag_and_error_responses() {
    let server = S3TestServer::start().await;
    let signed =
        Signer::default().presign(&server.host(), RawRequest::new("PUT", path(RAW, "k")).body("body"));
    let response = signed.header("origin", "https://tenant.example").send(server.address).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["access-control-allow-origin"], "*");
    let exposed = &response.headers["access-control-expose-headers"];
    assert!(exposed.split(',').any(|name| name == "etag"), "{exposed}");
    let refused = RawRequest::new("PUT", path(RAW, "k")).header("origin", "https://tenant.example");
    let refused = refused.send(server.address).await;
    assert_eq!(refused.outcome(), (403, "AccessDenied".into()));
    assert_eq!(refused.headers["access-control-allow-origin"], "*");
    assert_eq!(refused.headers["x-amz-request-id"].len(), 16);
}
