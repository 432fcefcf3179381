use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mediatype::MediaType;
use serde::Serialize;
use streamio_events::id::ProjectId;
use streamio_events::metadata::MAX_ENTRIES;
use streamio_events::object_key::{InvalidKeyPart, SourceKey};

use super::parts::MAX_PUT_BYTES;
use super::unique;
use crate::api::metadata::entry_mistakes;
use crate::config::{EdgeConfig, byte_count};
use crate::problem::Problem;
use crate::request::Fields;

const MAX_CONTENT_TYPE_BYTES: usize = 255;
const MAX_UPLOAD_ID_BYTES: usize = 1024;

/// A validated request to `POST /upload-url`. Two requests are the same if they serialize alike.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of the client")]
pub(super) struct UploadRequest {
    /// Without the folder of a [unique](Self::unique) key.
    pub(super) s3_key: SourceKey,
    /// Whether the key gets a folder of its own ([`unique::key`]).
    pub(super) unique: bool,
    pub(super) content_type: Option<String>,
    pub(super) size: Option<u64>,
    /// In base64, the form of S3's header.
    pub(super) sha256: Option<String>,
    /// Whether the upload may replace the file of the video with this key.
    pub(super) overwrite: bool,
    /// Whether the object store refuses the upload if the key has an object: only if the client stated `"overwrite": false`,
    /// because a client that did not would not send the signed header.
    pub(super) only_if_new: bool,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) multipart: bool,
    /// The multipart upload to continue.
    pub(super) upload_id: Option<String>,
    /// In seconds.
    pub(super) expires_in: u32,
}

impl UploadRequest {
    /// Validates all fields and reports all mistakes at once.
    pub(super) fn read(
        mut fields: Fields,
        project_id: &ProjectId,
        config: &EdgeConfig,
    ) -> Result<Self, Problem> {
        let unique = fields.boolean("unique").unwrap_or(false);
        let s3_key = source_key(&mut fields, project_id, unique);
        let content_type = fields.text("contentType");
        let content_type = content_type.and_then(|text| fields.checked("contentType", media_type(text)));
        let size = fields.whole_number("size");
        let limit = config.max_upload_bytes;
        if size.is_some_and(|size| size > limit) {
            fields
                .refuse("size", format!("must be at most {}, the limit of this service", byte_count(limit)));
        }
        let sha256 = fields.text("sha256").and_then(|text| fields.checked("sha256", base64_sha256(&text)));
        let stated_overwrite = fields.boolean("overwrite");
        if unique && stated_overwrite == Some(true) {
            fields.refuse("overwrite", "cannot be true with `unique`: a unique key has no file to replace");
        }
        let metadata = metadata(&mut fields);
        let requested_multipart = fields.boolean("multipart");
        let upload_id = fields.text("uploadId");
        if upload_id.as_deref().is_some_and(|id| !is_upload_id(id)) {
            let detail =
                format!("must be 1 to {MAX_UPLOAD_ID_BYTES} visible ASCII characters, as it was returned");
            fields.refuse("uploadId", detail);
        }
        if upload_id.is_some() && unique {
            let detail =
                "cannot be true with an `uploadId`: give the folders of the upload's `s3Key` in `path`";
            fields.refuse("unique", detail);
        }

        let too_large_for_one = size.is_some_and(|size| size > MAX_PUT_BYTES);
        let multipart = requested_multipart.unwrap_or(upload_id.is_some() || too_large_for_one);
        if multipart {
            if size.is_none() && !fields.has_error("size") {
                fields.refuse("size", "is missing: the parts of a multipart upload depend on it");
            }
            if sha256.is_some() {
                let detail = "cannot be given for a multipart upload: S3 checks a SHA-256 for each part only";
                fields.refuse("sha256", detail);
            }
        } else {
            if too_large_for_one {
                fields
                    .refuse("multipart", format!("must be true for more than {MAX_PUT_BYTES} bytes (5 GiB)"));
            }
            if upload_id.is_some() {
                fields.refuse("multipart", "must be true with an `uploadId`");
            }
        }
        let expires_in =
            fields.lifetime("expiresIn", if multipart { config.multipart_upload } else { config.upload });
        fields.finish()?;
        let s3_key = s3_key.ok_or_else(|| Problem::internal("a missing source key was not refused"))?;
        Ok(Self {
            s3_key,
            unique,
            content_type,
            size,
            sha256,
            overwrite: stated_overwrite.unwrap_or(false),
            only_if_new: stated_overwrite == Some(false),
            metadata,
            multipart,
            upload_id,
            expires_in,
        })
    }
}

fn source_key(fields: &mut Fields, project_id: &ProjectId, unique: bool) -> Option<SourceKey> {
    let filename = fields.required_text("filename");
    let path = fields.text("path");
    match SourceKey::new(project_id, path.as_deref().unwrap_or_default(), &filename?) {
        Ok(key) if unique => {
            fields.checked("filename", unique::in_folder(&key, unique::EXAMPLE_FOLDER)).map(|_| key)
        }
        Ok(key) => Some(key),
        Err(InvalidKeyPart::Path(error)) => {
            fields.refuse("path", error.to_string());
            None
        }
        Err(InvalidKeyPart::Filename(error)) => {
            fields.refuse("filename", error.to_string());
            None
        }
    }
}

/// The unchanged text, if it is a media type and valid in a header.
fn media_type(text: String) -> Result<String, &'static str> {
    let plain = (1..=MAX_CONTENT_TYPE_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.trim() == text
        && !text.contains('*');
    if plain && MediaType::parse(&text).is_ok() {
        Ok(text)
    } else {
        Err("must be a media type such as video/mp4")
    }
}

/// A SHA-256 in hexadecimal or base64, converted to base64.
fn base64_sha256(text: &str) -> Result<String, &'static str> {
    let decoded =
        if text.len() == 64 { base16ct::mixed::decode_vec(text).ok() } else { STANDARD.decode(text).ok() };
    match decoded {
        Some(digest) if digest.len() == 32 => Ok(STANDARD.encode(&digest)),
        _ => Err("must be a SHA-256 as 64 hexadecimal digits or as 44 characters of base64"),
    }
}

fn is_upload_id(text: &str) -> bool {
    (1..=MAX_UPLOAD_ID_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn metadata(fields: &mut Fields) -> BTreeMap<String, String> {
    let metadata = fields.texts("metadata").unwrap_or_default();
    if metadata.len() > MAX_ENTRIES {
        fields.refuse("metadata", format!("must have at most {MAX_ENTRIES} entries"));
    }
    for (key, value) in &metadata {
        for mistake in entry_mistakes(key, Some(value)) {
            fields.refuse(&format!("metadata.{key}"), mistake);
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_validated_and_not_changed() {
        for accepted in [
            "video/mp4",
            "Video/QuickTime",
            "audio/x-m4a; codecs=\"mp4a.40.2\"",
            "application/vnd.apple.mpegurl",
        ] {
            assert_eq!(media_type(accepted.to_owned()).as_deref(), Ok(accepted));
        }
        let long = format!("video/{}", "a".repeat(255));
        for refused in [
            "",
            "video",
            "video/",
            "/mp4",
            "*/*",
            "video/*",
            " video/mp4",
            "video/mp4 ",
            "video/mp4\r\nx-amz-acl: public-read",
            "video/mp4\0",
            "vidéo/mp4",
            "video/mp4, text/html",
            &long,
        ] {
            assert!(media_type(refused.to_owned()).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_digest_is_accepted_in_hexadecimal_and_base64_and_returned_in_base64() {
        let base64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for accepted in [base64, hex, &hex.to_uppercase()] {
            assert_eq!(base64_sha256(accepted).as_deref(), Ok(base64));
        }
        for refused in ["", "abc", &hex[..62], &base64[..43], &"=".repeat(44), &"z".repeat(64), "e3b0c442"] {
            assert!(base64_sha256(refused).is_err(), "{refused:?}");
        }
    }
}
