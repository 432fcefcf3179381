//! Golden vectors as folders in `tests/signing/golden`: a request, and what becomes of it at each step, so that a
//! difference shows where it begins. The others were written by an independent implementation in another language;
//! those named `aws-…` are examples of AWS's documentation:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::*;

/// The parts of `request.txt`: settings, one a line; a blank line; the request line and its headers; where there is
/// a body, a blank line and the body.
struct Vector {
    settings: BTreeMap<String, String>,
    method: Method,
    origin: String,
    path: String,
    query: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: String,
}

impl Vector {
    fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("request.txt")).unwrap();
        let mut parts = text.trim_end().splitn(3, "\n\n");
        let settings =
            parts.next().unwrap().lines().map(|line| owned(line.split_once(": ").unwrap())).collect();
        let mut lines = parts.next().unwrap().lines();
        let (method, url) = lines.next().unwrap().split_once(' ').unwrap();
        let headers = lines.map(|line| owned(line.split_once(": ").unwrap())).collect();
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let path_at = address.match_indices('/').nth(2).unwrap().0;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            owned((&decoded(name), &decoded(value)))
        });
        Self {
            settings,
            method: method.parse().unwrap(),
            origin: address[..path_at].to_owned(),
            path: address[path_at..].to_owned(),
            query: query.collect(),
            headers,
            body: parts.next().unwrap_or_default().to_owned(),
        }
    }

    fn signer(&self) -> Signer {
        let mut credentials =
            Credentials::new(&self.settings["access-key-id"], &self.settings["secret-access-key"]).unwrap();
        if let Some(token) = self.settings.get("session-token") {
            credentials = credentials.with_session_token(token).unwrap();
        }
        Signer::new(credentials, &self.settings["region"], &self.settings["service"]).unwrap()
    }

    fn parts(&self) -> RequestParts<'_> {
        let Self { method, origin, path, query, headers, .. } = self;
        RequestParts { method, origin, path, query, headers }
    }
}

fn owned<T: From<String>>((name, value): (&str, &str)) -> (T, T) {
    (name.to_owned().into(), value.to_owned().into())
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signing/golden");
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn each_golden_request_goes_through_the_recorded_steps() {
    let folders = folders();
    assert!(folders.len() >= 9, "some golden vectors are missing");
    for folder in folders {
        let vector = Vector::read(&folder);
        let signer = vector.signer();
        let now = vector.settings["time"].parse().unwrap();
        let parts = vector.parts();
        let (moment, canonical_request, result) = if let Some(expires_in) = vector.settings.get("presign") {
            let expires_in = expires_in.parse().unwrap();
            let prepared = signer.prepare_presign(&parts, expires_in, now).unwrap();
            let url = signer.presign(&parts, expires_in, now).unwrap().into_string();
            (prepared.moment, prepared.canonical_request, ("url.txt", url))
        } else {
            let payload = Payload::Bytes(vector.body.as_bytes());
            let prepared = signer.prepare_sign(&parts, payload, now).unwrap();
            let headers = signer.sign(&parts, payload, now).unwrap().headers;
            let authorization = headers["authorization"].to_str().unwrap().to_owned();
            (prepared.moment, prepared.canonical_request, ("authorization.txt", authorization))
        };
        let steps = [
            ("canonical-request.txt", canonical_request.clone()),
            ("string-to-sign.txt", signer.string_to_sign(&moment, &canonical_request)),
            ("signature.txt", signer.signature(&moment, &canonical_request).as_str().to_owned()),
            result,
        ];
        for (file, actual) in steps {
            let path = folder.join(file);
            let recorded = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(actual, recorded.trim_end_matches('\n'), "{}", path.display());
        }
    }
}
