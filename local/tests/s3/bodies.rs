//! Request bodies: exactly what was sent is stored, or nothing.

use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{ChecksumAlgorithm, Delete, ObjectIdentifier};
use aws_sigv4::http_request::SignableBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::StreamBody;
use md5::{Digest as _, Md5};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::raw::RawRequest;
use crate::server::{RAW, S3TestServer, pattern, refusal};
use crate::signer::{Signer, path};

async fn assert_nothing_is_stored(server: &S3TestServer) {
    assert!(!server.exists("k").await);
    assert_eq!(server.files(), Vec::<String>::new());
    assert_eq!(server.store.pending_notifications(10).await.unwrap(), []);
}

#[tokio::test]
async fn a_body_that_does_not_match_its_digest_is_refused() {
    let server = S3TestServer::start().await;
    let put = || server.client.put_object().bucket(RAW).key("k").body(ByteStream::from_static(b"body"));
    let md5 = STANDARD.encode(Md5::digest(b"other"));
    let bad = (400, "BadDigest".to_owned());
    assert_eq!(refusal(put().content_md5(md5).send().await), bad);
    assert_eq!(refusal(put().content_md5("c2hvcnQ=").send().await), (400, "InvalidDigest".into()));
    assert_eq!(refusal(put().checksum_crc32("AAAAAA==").send().await), bad);
    assert_eq!(refusal(put().checksum_crc32_c("AAAAAA==").send().await), bad);
    assert_eq!(refusal(put().checksum_crc64_nvme("AAAAAAAAAAA=").send().await), bad);
    assert_eq!(refusal(put().checksum_sha1(STANDARD.encode([0; 20])).send().await), bad);
    assert_eq!(refusal(put().checksum_sha256(STANDARD.encode([0; 32])).send().await), bad);
    assert_eq!(refusal(put().checksum_sha256("AAAA").send().await), (400, "InvalidRequest".into()));
    let two = put().checksum_crc32("AAAAAA==").checksum_sha256(STANDARD.encode([0; 32])).send().await;
    assert_eq!(refusal(two), (400, "InvalidRequest".into()));
    assert_nothing_is_stored(&server).await;
    put().content_md5(STANDARD.encode(Md5::digest(b"body"))).send().await.unwrap();
}

#[tokio::test]
async fn every_checksum_of_the_sdk_is_verified_stored_and_returned() {
    let server = S3TestServer::start().await;
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        let put = server.client.put_object().bucket(RAW).key("k").checksum_algorithm(algorithm.clone());
        let put = put.body(ByteStream::from_static(b"123456789")).send().await.unwrap();
        let stored = server.store.head(RAW, "k").await.unwrap().unwrap().checksum.unwrap();
        assert_eq!(stored.algorithm.name(), algorithm.as_str());
        let returned = [
            put.checksum_crc32(),
            put.checksum_crc32_c(),
            put.checksum_crc64_nvme(),
            put.checksum_sha1(),
            put.checksum_sha256(),
        ];
        assert_eq!(returned.into_iter().flatten().collect::<Vec<_>>(), [stored.value]);
        // The SDK compares the checksum when reading.
        assert_eq!(server.get("k").await, b"123456789");
    }
}

/// A body with a known length.
struct SizedBody<B>(B, u64);

impl<B: Body + Unpin> Body for SizedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.1)
    }
}

/// A body that the SDK must stream: it sends chunks, with the checksum in a trailer.
fn streaming(body: &[u8]) -> ByteStream {
    let pieces: Vec<Bytes> = body.chunks(50_000).map(Bytes::copy_from_slice).collect();
    let frames = pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
    let stream = StreamBody::new(futures::stream::iter(frames));
    ByteStream::new(SdkBody::from_body_1_x(SizedBody(stream, body.len() as u64)))
}

#[tokio::test]
async fn a_streamed_body_with_its_checksum_in_a_trailer_is_stored() {
    let server = S3TestServer::start().await;
    let body = pattern(3_000_000, 3);
    let put = server.client.put_object().bucket(RAW).key("k").content_encoding("gzip");
    let put =
        put.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).body(streaming(&body)).send().await.unwrap();
    assert!(put.checksum_crc64_nvme().is_some());
    assert!(server.get("k").await == body);
    let head = server.client.head_object().bucket(RAW).key("k").send().await.unwrap();
    assert_eq!(head.content_encoding(), Some("gzip"));
}

#[tokio::test]
async fn a_chunked_body_in_chunked_transfer_encoding_needs_only_its_decoded_length() {
    let server = S3TestServer::start().await;
    let chunks = b"4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    let request = chunked(&server, 9, chunks).header("transfer-encoding", "chunked");
    let (first, second) = chunks.split_at(20);
    let mut body = format!("{:x}\r\n", first.len()).into_bytes();
    body.extend(first);
    body.extend(format!("\r\n{:x}\r\n", second.len()).bytes());
    body.extend(second);
    body.extend(b"\r\n0\r\n\r\n");
    let response = request.body(body).send(server.address).await;
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    assert_eq!(server.get("k").await, b"123456789");
}

/// A request with an unsigned `aws-chunked` body and a checksum in its trailer.
fn chunked(server: &S3TestServer, decoded_length: usize, body: &[u8]) -> RawRequest {
    let request = RawRequest::new("PUT", path(RAW, "k"))
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", decoded_length.to_string())
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .body(body);
    let payload = SignableBody::StreamingUnsignedPayloadTrailer;
    Signer::default().authorize_payload(&server.host(), request, payload).0
}

#[tokio::test]
async fn a_chunked_body_must_be_complete_and_have_its_trailer() {
    let server = S3TestServer::start().await;
    // The CRC-32 of "123456789".
    let good = b"4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    let cases: [(&str, &[u8], (u16, &str)); 7] = [
        ("cut between chunks", b"4\r\n1234\r\n", (400, "IncompleteBody")),
        ("cut in a chunk", b"4\r\n1234\r\n5\r\n567", (400, "IncompleteBody")),
        (
            "a chunk left out",
            b"4\r\n1234\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n",
            (400, "IncompleteBody"),
        ),
        ("no trailer", b"4\r\n1234\r\n5\r\n56789\r\n0\r\n\r\n", (400, "InvalidRequest")),
        (
            "wrong trailer",
            b"4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
            (400, "BadDigest"),
        ),
        ("no chunks", b"123456789", (400, "IncompleteBody")),
        (
            "longer than declared",
            b"4\r\n1234\r\n6\r\n567890\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n",
            (400, "IncompleteBody"),
        ),
    ];
    for (name, body, (status, code)) in cases {
        let response = chunked(&server, 9, body).send(server.address).await;
        assert_eq!(response.outcome(), (status, code.to_owned()), "{name}");
        assert_nothing_is_stored(&server).await;
    }
    let response = chunked(&server, 9, good).send(server.address).await;
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    assert_eq!(server.get("k").await, b"123456789");
}

#[tokio::test]
async fn an_object_sent_as_one_unsigned_chunk_is_stored() {
    let server = S3TestServer::start().await;
    let data = pattern(20 << 20, 1);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&data);
    let checksum = STANDARD.encode(checksum.finalize().to_be_bytes());
    let mut body = format!("{:x}\r\n", data.len()).into_bytes();
    body.extend(&data);
    body.extend(format!("\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n").bytes());
    assert_eq!(chunked(&server, data.len(), &body).send(server.address).await.status, 200);
    assert!(server.get("k").await == data);
}

#[tokio::test]
async fn each_signed_chunk_is_verified() {
    let server = S3TestServer::start().await;
    let signer = Signer::default();
    let request = |forge: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let request = RawRequest::new("PUT", path(RAW, "k")).header("x-amz-decoded-content-length", "200000");
        let payload = SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".into());
        let (request, seed) = signer.authorize_payload(&server.host(), request, payload);
        let data = pattern(200_000, 6);
        let (one, two) = data.split_at(131_072);
        request.body(forge(signer.signed_chunks(&seed, &[one, two])))
    };
    let flip = |mut body: Vec<u8>| {
        body[150_000] ^= 1;
        body
    };
    let forged = request(&flip).send(server.address).await;
    assert_eq!(forged.outcome(), (403, "SignatureDoesNotMatch".into()));
    let large = request(&|_| b"1000001;chunk-signature=00\r\n".to_vec()).send(server.address).await;
    assert_eq!(large.outcome(), (400, "InvalidRequest".into()));
    assert_nothing_is_stored(&server).await;
    assert_eq!(request(&|body| body).send(server.address).await.status, 200);
    assert!(server.get("k").await == pattern(200_000, 6));
}

#[tokio::test]
async fn an_upload_that_is_cut_off_stores_nothing() {
    let mut server = S3TestServer::start().await;
    let signed = Signer::default().presign(&server.host(), RawRequest::new("PUT", path(RAW, "k")));
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\ncontent-length: 3000000\r\n\r\n",
        signed.target,
        server.host()
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&pattern(2_500_000, 1)).await.unwrap();
    drop(stream);
    // After the shutdown the server has no request in progress.
    server.stop().await;
    assert_nothing_is_stored(&server).await;
}

#[tokio::test]
async fn a_put_needs_a_length_within_the_limit() {
    let server = S3TestServer::start().await;
    let signed = || Signer::default().presign(&server.host(), RawRequest::new("PUT", path(RAW, "k")));
    let unsized_body = signed().header("transfer-encoding", "chunked").body("4\r\nbody\r\n0\r\n\r\n");
    assert_eq!(unsized_body.send(server.address).await.outcome(), (411, "MissingContentLength".into()));
    let five_gib = 5_u64 << 30;
    let large =
        signed().header("expect", "100-continue").header("content-length", (five_gib + 1).to_string());
    assert_eq!(large.send(server.address).await.outcome(), (400, "EntityTooLarge".into()));
    assert_nothing_is_stored(&server).await;
}

#[tokio::test]
async fn an_xml_body_that_does_not_match_its_digest_is_refused() {
    let server = S3TestServer::start().await;
    server.put("k", b"x".to_vec()).await;
    let document = "<Delete><Object><Key>k</Key></Object></Delete>";
    let signer = Signer::default();
    let post = || RawRequest::new("POST", "/raw?delete=").body(document);
    let swapped = signer.authorize(&server.host(), post()).body(document.replace('k', "l"));
    assert_eq!(swapped.send(server.address).await.outcome(), (400, "XAmzContentSHA256Mismatch".into()));
    let empty = signer.authorize(&server.host(), post()).body("");
    assert_eq!(empty.send(server.address).await.outcome(), (400, "XAmzContentSHA256Mismatch".into()));
    for (name, value) in
        [("content-md5", STANDARD.encode([0; 16])), ("x-amz-checksum-crc32", "AAAAAA==".into())]
    {
        let wrong = signer.authorize(&server.host(), post().header(name, value));
        assert_eq!(wrong.send(server.address).await.outcome(), (400, "BadDigest".into()), "{name}");
    }
    let malformed = signer.authorize(&server.host(), post().body("<Delete><Object>"));
    assert_eq!(malformed.send(server.address).await.outcome(), (400, "MalformedXML".into()));
    assert!(server.exists("k").await);
    // The SDK sends a valid checksum.
    let objects =
        Delete::builder().objects(ObjectIdentifier::builder().key("k").build().unwrap()).build().unwrap();
    server.client.delete_objects().bucket(RAW).delete(objects).send().await.unwrap();
    assert!(!server.exists("k").await);
}

#[tokio::test]
async fn an_xml_body_that_is_too_long_is_refused() {
    let server = S3TestServer::start().await;
    let signer = Signer::default();
    let part = "<Part><PartNumber>1</PartNumber><ETag>0123456789abcdef0123456789abcdef</ETag></Part>";
    let document = format!(
        "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
        part.repeat((22 << 20) / part.len())
    );
    for target in ["/raw/k?uploadId=u", "/raw?delete="] {
        let post = RawRequest::new("POST", target).body(document.as_str());
        let response = signer.authorize(&server.host(), post).send(server.address).await;
        assert_eq!(response.outcome(), (400, "MaxMessageLengthExceeded".into()), "{target}");
        assert!(String::from_utf8_lossy(&response.body).contains("<Message>"), "{target}");
    }
}

#[tokio::test]
async fn a_refused_upload_gets_a_response_while_the_client_is_sending() {
    let server = S3TestServer::start().await;
    let response =
        RawRequest::new("PUT", path(RAW, "k")).body(pattern(6 << 20, 1)).send(server.address).await;
    assert_eq!(response.outcome(), (403, "AccessDenied".into()));
    let signed = Signer::default().presign(&server.host(), RawRequest::new("PUT", "/no-such-bucket/k"));
    let response = signed.body(pattern(6 << 20, 1)).send(server.address).await;
    assert_eq!(response.outcome(), (404, "NoSuchBucket".into()));
}
