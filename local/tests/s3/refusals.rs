//! What the error documents of refused requests say, in S3's elements.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::SignableBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use quick_xml::events::Event;
use sha2::{Digest as _, Sha256};

use crate::raw::{RawRequest, RawResponse};
use crate::server::{ACCESS_KEY_ID, RAW, REGION, S3TestServer, SECRET_ACCESS_KEY};
use crate::signer::{Signer, path, put_object};

/// The elements of an error document and their texts.
fn elements(response: &RawResponse) -> BTreeMap<String, String> {
    let document = std::str::from_utf8(&response.body).unwrap();
    let mut reader = quick_xml::Reader::from_str(document);
    let (mut elements, mut name) = (BTreeMap::new(), String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => name = String::from_utf8(start.name().as_ref().to_vec()).unwrap(),
            Event::Text(text) => {
                elements.entry(name.clone()).or_insert_with(String::new).push_str(&text.decode().unwrap())
            }
            Event::GeneralRef(reference) => {
                let text = match reference.decode().unwrap().as_ref() {
                    "lt" => "<",
                    "gt" => ">",
                    "amp" => "&",
                    "quot" => "\"",
                    "apos" => "'",
                    other => panic!("the reference {other} in {document}"),
                };
                elements.entry(name.clone()).or_insert_with(String::new).push_str(text);
            }
            Event::Eof => return elements,
            _ => {}
        }
    }
}

fn texts<'a>(elements: &'a BTreeMap<String, String>, names: &[&str]) -> Vec<&'a str> {
    names.iter().map(|name| elements.get(*name).map_or("(missing)", String::as_str)).collect()
}

/// The signature of a string with the server's secret, by the definition of Signature Version 4.
fn signature_of(string_to_sign: &str) -> String {
    let mut key = format!("AWS4{SECRET_ACCESS_KEY}").into_bytes();
    let scope = string_to_sign.lines().nth(2).unwrap();
    for part in scope.split('/').chain([string_to_sign]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    data_encoding::HEXLOWER.encode(&key)
}

fn signature_in(target: &str) -> &str {
    &target.split_once("X-Amz-Signature=").unwrap().1[..64]
}

#[tokio::test]
async fn a_wrong_signature_shows_the_strings_that_the_server_would_sign() {
    let server = S3TestServer::start().await;
    let host = server.host();
    let wrong = Signer { secret_access_key: "guess".into(), ..Signer::default() };
    let right = Signer { time: wrong.time, ..Signer::default() };
    for key in ["k", "a b+c%/ü <&>", "//x"] {
        let request = || {
            let put =
                put_object(key).header("content-type", "video/mp4").header("x-amz-meta-a", "two  words");
            RawRequest { target: format!("{}?x-id=PutObject&empty=", put.target), ..put }
        };
        let presigned = wrong.presign(&host, request());
        let response = presigned.send(server.address).await;
        assert_eq!(response.outcome(), (403, "SignatureDoesNotMatch".into()), "{key}");
        let found = elements(&response);
        assert_eq!(
            texts(&found, &["AWSAccessKeyId", "SignatureProvided"]),
            [ACCESS_KEY_ID, signature_in(&presigned.target)]
        );
        // What the server shows, signed with the right secret, is what an independent signer makes.
        assert_eq!(
            signature_of(&found["StringToSign"]),
            signature_in(&right.presign(&host, request()).target),
            "{key}"
        );
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&found["CanonicalRequest"]));
        assert!(found["StringToSign"].ends_with(&digest));
        assert!(found["StringToSign"].contains(&format!("/{REGION}/s3/aws4_request\n")));
        let bytes = found["StringToSignBytes"].split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
        assert_eq!(bytes.collect::<Vec<_>>(), found["StringToSign"].as_bytes());
        let bytes =
            found["CanonicalRequestBytes"].split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
        assert_eq!(bytes.collect::<Vec<_>>(), found["CanonicalRequest"].as_bytes());

        let (signed, signature) = right.authorize_payload(&host, request(), SignableBody::Bytes(b"body"));
        let headers = signed
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.replace(&signature, &"0".repeat(64))));
        let tampered = RawRequest { headers: headers.collect(), ..signed };
        let found = elements(&tampered.send(server.address).await);
        assert_eq!(signature_of(&found["StringToSign"]), signature, "{key}");
        assert_eq!(found["SignatureProvided"], "0".repeat(64));
    }
}

#[tokio::test]
async fn a_signature_for_another_method_names_both_methods() {
    let server = S3TestServer::start().await;
    let presigned = Signer::default().presign(&server.host(), put_object("k"));
    for method in ["GET", "DELETE", "POST"] {
        let request = RawRequest { method: method.into(), ..presigned.clone() };
        let found = elements(&request.send(server.address).await);
        assert_eq!(found["Code"], "SignatureDoesNotMatch", "{method}");
        let expected = format!("It was signed for PUT; this request is a {method}.");
        assert!(found["Message"].ends_with(&expected), "{}", found["Message"]);
    }
}

#[tokio::test]
async fn what_a_signature_covers_is_listed_with_what_was_received() {
    let server = S3TestServer::start().await;
    let checksum = STANDARD.encode(Sha256::digest(b"body"));
    let required = put_object("k")
        .header("content-length", "4")
        .header("content-type", "video/mp4")
        .header("x-amz-checksum-sha256", &checksum);
    let presigned = Signer::default().presign(&server.host(), required);
    for (name, value) in
        [("content-length", "5"), ("content-type", "text/html"), ("x-amz-checksum-sha256", "AAAA")]
    {
        let changed = presigned.clone().without(name).header(name, value).body("bodyx");
        let found = elements(&changed.send(server.address).await);
        assert_eq!(found["Code"], "SignatureDoesNotMatch");
        assert!(found["Message"].contains(&format!("{name}: {value}")), "{}", found["Message"]);
        assert!(
            found["CanonicalRequest"].contains(&format!("\n{name}:{value}\n")),
            "{}",
            found["CanonicalRequest"]
        );
    }
    let found = elements(&presigned.without("content-type").send(server.address).await);
    assert_eq!(found["Code"], "SignatureDoesNotMatch");
    assert_eq!(
        found["Message"],
        "headers were signed and not sent: content-type; send each exactly as it was signed"
    );
}

#[tokio::test]
async fn secrets_are_not_in_any_refusal_of_a_signature() {
    let server = S3TestServer::start().await;
    let wrong = Signer { secret_access_key: "guess".into(), ..Signer::default() };
    let request =
        put_object("k").header("x-amz-server-side-encryption-customer-key", "c2VjcmV0LW9mLWNsaWVudA==");
    let presigned = wrong.presign(&server.host(), request);
    let response = presigned.send(server.address).await;
    let document = String::from_utf8(response.body.clone()).unwrap();
    assert!(document.contains("x-amz-server-side-encryption-customer-key:(not shown)"), "{document}");
    assert!(!document.contains("c2VjcmV0LW9mLWNsaWVudA"), "{document}");
    assert!(!document.contains(SECRET_ACCESS_KEY), "{document}");
    let expected = signature_of(&elements(&response)["StringToSign"]);
    assert!(!document.contains(&expected), "the expected signature is in {document}");
}

#[tokio::test]
async fn an_expired_url_states_when_it_expired() {
    let server = S3TestServer::start().await;
    let minute = Duration::from_mins(1);
    let signer = Signer { time: SystemTime::now() - minute * 5, expires: minute, ..Signer::default() };
    let found = elements(&signer.presign(&server.host(), put_object("k")).send(server.address).await);
    assert_eq!(
        texts(&found, &["Code", "Message", "X-Amz-Expires"]),
        ["AccessDenied", "Request has expired", "60"]
    );
    assert!(found["Expires"] < found["ServerTime"], "{found:?}");
    assert!(found["Expires"].ends_with('Z') && found["Expires"].len() == 20, "{found:?}");
}

#[tokio::test]
async fn a_skewed_clock_and_unsigned_headers_are_named() {
    let server = S3TestServer::start().await;
    let signer = Signer { time: SystemTime::now() - Duration::from_mins(20), ..Signer::default() };
    let found = elements(&signer.authorize(&server.host(), put_object("k")).send(server.address).await);
    assert_eq!(texts(&found, &["Code", "MaxAllowedSkewMilliseconds"]), ["RequestTimeTooSkewed", "900000"]);
    assert!(found.contains_key("RequestTime") && found.contains_key("ServerTime"), "{found:?}");

    let request = Signer::default().presign(&server.host(), put_object("k"));
    let request = request.header("x-amz-meta-b", "1").header("x-amz-acl", "public-read");
    let found = elements(&request.send(server.address).await);
    assert_eq!(
        texts(&found, &["Code", "Message", "HeadersNotSigned"]),
        [
            "AccessDenied",
            "There were headers present in the request which were not signed",
            "x-amz-acl, x-amz-meta-b"
        ]
    );
}

#[tokio::test]
async fn sizes_and_digests_are_stated_as_expected_and_as_found() {
    let server = S3TestServer::start().await;
    let send = async |request: RawRequest| {
        let request = Signer::default().presign(&server.host(), request);
        elements(&request.send(server.address).await)
    };
    let too_large = put_object("k").header("content-length", "6442450944").header("expect", "100-continue");
    let found = send(too_large).await;
    assert_eq!(
        texts(&found, &["Code", "ProposedSize", "MaxSizeAllowed"]),
        ["EntityTooLarge", "6442450944", "5368709120"]
    );
    let (of_body, of_other) =
        (STANDARD.encode(Sha256::digest(b"body")), STANDARD.encode(Sha256::digest(b"other")));
    let found = send(put_object("k").header("x-amz-checksum-sha256", &of_other)).await;
    assert_eq!(
        texts(&found, &["Code", "ExpectedDigest", "CalculatedDigest"]),
        ["BadDigest", of_other.as_str(), of_body.as_str()]
    );
    assert!(found["Message"].contains("x-amz-checksum-sha256"));
    // The MD5 of "body" and of nothing.
    let found = send(put_object("k").header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")).await;
    assert_eq!(
        texts(&found, &["Code", "ExpectedDigest", "CalculatedDigest"]),
        ["BadDigest", "1B2M2Y8AsgTpgAmY7PhCfg==", "hBotaJrYa9FhFEdFPCLG/A=="]
    );

    let host = server.host();
    let signed = Signer::default().authorize(&host, put_object("k")).body("BODY");
    let found = elements(&signed.send(server.address).await);
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(&Sha256::digest(bytes));
    assert_eq!(
        texts(&found, &["Code", "ClientComputedContentSHA256", "S3ComputedContentSHA256"]),
        ["XAmzContentSHA256Mismatch", hex(b"body").as_str(), hex(b"BODY").as_str()]
    );
    assert_eq!(server.files(), Vec::<String>::new());
}

#[tokio::test]
async fn faults_of_parts_name_the_part() {
    let server = S3TestServer::start().await;
    let upload = server.client.create_multipart_upload().bucket(RAW).key("k").send().await.unwrap();
    let id = upload.upload_id().unwrap();
    for number in 1..=2 {
        let part = server.client.upload_part().bucket(RAW).key("k").upload_id(id).part_number(number);
        part.body(b"part".to_vec().into()).send().await.unwrap();
    }
    let etag = data_encoding::HEXLOWER.encode(&<md5::Md5 as md5::Digest>::digest(b"part"));
    let complete = async |parts: &[(u32, &str)]| {
        let parts: String = parts
            .iter()
            .map(|(number, etag)| {
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
            })
            .collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let request = RawRequest::new("POST", format!("{}?uploadId={id}", path(RAW, "k"))).body(body);
        elements(&Signer::default().authorize(&server.host(), request).send(server.address).await)
    };
    let names = ["Code", "UploadId", "PartNumber", "ETag"];
    let found = complete(&[(3, "cafe")]).await;
    assert_eq!(texts(&found, &names), ["InvalidPart", id, "3", "cafe"]);
    let found = complete(&[(1, "cafe")]).await;
    assert_eq!(texts(&found, &names), ["InvalidPart", id, "1", "cafe"]);
    let found = complete(&[(1, &etag), (2, &etag)]).await;
    assert_eq!(
        texts(&found, &["Code", "ProposedSize", "MinSizeAllowed", "PartNumber", "ETag"]),
        ["EntityTooSmall", "4", "5242880", "1", etag.as_str()]
    );
}

#[tokio::test]
async fn every_error_document_names_the_resource_and_the_request() {
    let server = S3TestServer::start().await;
    let key = "a b&c<d>\u{1}é";
    let request = Signer::default().presign(&server.host(), RawRequest::new("GET", path(RAW, key)));
    let response = request.send(server.address).await;
    let found = elements(&response);
    assert_eq!(found["Code"], "NoSuchKey");
    assert_eq!(found["Resource"], path(RAW, key));
    assert_eq!(found["RequestId"], response.headers["x-amz-request-id"]);
    assert_eq!(found["Key"], "a b&c<d>\u{fffd}é", "XML cannot represent U+0001");
    assert_eq!(response.headers["content-length"], response.body.len().to_string());
    let unsigned = RawRequest::new("GET", "/raw?a=b").send(server.address).await;
    assert_eq!(texts(&elements(&unsigned), &["Code", "Resource"]), ["AccessDenied", "/raw"]);
}
