//! The fake object store: objects and multipart uploads, with entity tags.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use super::{Fault, HttpResponse, respond, store_error};

/// The stored objects and uploads.
#[derive(Default)]
pub(crate) struct Store {
    /// Objects by key.
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    /// Parts of unfinished multipart uploads, by upload id.
    pub(crate) uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    started: u32,
}

impl Store {
    /// Begins a multipart upload.
    pub(crate) fn begin(&mut self, _key: &str) -> String {
        self.started += 1;
        let id = format!("upload-{}", self.started);
        self.uploads.insert(id.clone(), BTreeMap::new());
        id
    }

    /// Handles a request. Also returns whether an object was stored.
    pub(super) fn handle_request(
        &mut self,
        method: &str,
        path: &str,
        query: &str,
        body: &[u8],
    ) -> (HttpResponse, bool) {
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let key = path.trim_start_matches("/s3/").to_owned();
        let Some(upload_id) = parameter("uploadId") else {
            self.objects.insert(key, body.to_vec());
            return (with_etag(200, "", &etag(body)), true);
        };
        let Some(parts) = self.uploads.get_mut(&upload_id) else {
            return (
                error_response(store_error(404, "NoSuchUpload", "The specified upload does not exist.")),
                false,
            );
        };
        match (method, parameter("partNumber")) {
            ("PUT", Some(number)) => {
                parts.insert(number.parse().expect("a part number"), body.to_vec());
                (with_etag(200, "", &etag(body)), false)
            }
            ("POST", _) => {
                let text = String::from_utf8_lossy(body);
                let named: Vec<&str> = text
                    .split("<ETag>")
                    .skip(1)
                    .map(|rest| rest.split("</ETag>").next().unwrap_or_default())
                    .collect();
                let have: Vec<String> = parts.values().map(|part| etag(part)).collect();
                if named.iter().map(|tag| tag.replace("&quot;", "\"")).ne(have.iter().cloned()) {
                    return (
                        error_response(store_error(
                            400,
                            "InvalidPart",
                            "One or more parts could not be found.",
                        )),
                        false,
                    );
                }
                let whole: Vec<u8> = parts.values().flatten().copied().collect();
                let tag = format!("\"{}-{}\"", etag(&whole).trim_matches('"'), parts.len());
                self.uploads.remove(&upload_id);
                self.objects.insert(key, whole);
                let tag = tag.replace('"', "&quot;");
                let body = format!(
                    "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
                );
                (respond(200, &body), true)
            }
            _ => {
                self.uploads.remove(&upload_id);
                (respond(204, ""), false)
            }
        }
    }
}

/// The entity tag of `bytes`, with its quotes.
pub(crate) fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", data_encoding::HEXLOWER.encode(&Md5::digest(bytes)))
}

fn with_etag(status: u16, body: &str, tag: &str) -> HttpResponse {
    let mut response = respond(status, body);
    response.headers_mut().insert("etag", tag.parse().expect("a header value"));
    response
}

fn error_response(fault: Fault) -> HttpResponse {
    match fault {
        Fault::Respond(status, _, body) => respond(status, &body),
        _ => respond(500, ""),
    }
}
