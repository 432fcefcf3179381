use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::InvalidOptions;
use super::options::Options;
use crate::sign::s3::{AddressStyle, Bucket, BucketSigner, InvalidBucket, ObjectRequest};
use crate::sign::sigv4::{Credentials, InvalidCredentials, SigningError, SigningKeyCache};

thread_local! {
    /// Caches the derived signing keys, which are valid for one day.
    static SIGNING_KEYS: Arc<SigningKeyCache> = Arc::default();
}

/// `presignPut`: presigns the PUT of one object.
///
/// Takes `{endpoint, region, bucket, key, pathStyle?, accessKeyId, secretAccessKey, sessionToken?, expiresIn, headers?, now}`.
/// Returns `{url, headers}`.
pub fn presign_put(options: &str) -> Result<String, InvalidOptions> {
    let mut options = Options::read(
        options,
        &[
            "endpoint",
            "region",
            "bucket",
            "key",
            "pathStyle",
            "accessKeyId",
            "secretAccessKey",
            "sessionToken",
            "expiresIn",
            "headers",
            "now",
        ],
    )?;
    let style = if options.flag("pathStyle")? { AddressStyle::Path } else { AddressStyle::VirtualHosted };
    let (endpoint, region, name) =
        (options.text("endpoint")?, options.text("region")?, options.text("bucket")?);
    let bucket = Bucket::new(&endpoint, &region, &name, style).map_err(bucket_error)?;
    let credentials = Credentials::new(&options.text("accessKeyId")?, &options.text("secretAccessKey")?);
    let mut credentials = credentials.map_err(credentials_error)?;
    if let Some(token) = options.optional_text("sessionToken")? {
        credentials = credentials.with_session_token(&token).map_err(credentials_error)?;
    }
    let key = options.text("key")?;
    let expires_in = options.duration("expiresIn")?;
    let headers = options.texts("headers")?;
    let now = options.moment("now")?;

    let mut request = ObjectRequest::put(key);
    for (name, value) in &headers {
        request = request.header(name, value);
    }
    let signer = BucketSigner::new(bucket, credentials).with_keys(SIGNING_KEYS.with(Arc::clone));
    let url = signer.presign(&request, expires_in, now).map_err(signing_error)?;
    let headers: Map<String, Value> = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    Ok(json!({"url": url.as_str(), "headers": headers}).to_string())
}

fn bucket_error(error: InvalidBucket) -> InvalidOptions {
    let option = match error {
        InvalidBucket::Endpoint => "endpoint",
        InvalidBucket::Name => "bucket",
        InvalidBucket::Region => "region",
        InvalidBucket::VirtualHostOnIpAddress | InvalidBucket::VirtualHostWithDots => "pathStyle",
    };
    InvalidOptions::option(option, error)
}

fn credentials_error(error: InvalidCredentials) -> InvalidOptions {
    let option = match error {
        InvalidCredentials::AccessKeyId => "accessKeyId",
        InvalidCredentials::SecretAccessKey => "secretAccessKey",
        InvalidCredentials::SessionToken => "sessionToken",
    };
    InvalidOptions::option(option, error)
}

fn signing_error(error: SigningError) -> InvalidOptions {
    let option = match error {
        SigningError::ExpiryOutOfRange { .. } => "expiresIn",
        SigningError::TimeOutOfRange => "now",
        SigningError::KeyLength { .. } => "key",
        SigningError::InvalidRegion => "region",
        SigningError::InvalidHeaderName { .. } => {
            return InvalidOptions::option("headers", "a name is not a valid header name");
        }
        SigningError::InvalidHeaderValue { .. } | SigningError::ReservedHeader { .. } => "headers",
        SigningError::InvalidService
        | SigningError::InvalidOrigin
        | SigningError::InvalidPath
        | SigningError::ReservedQueryParameter { .. } => "endpoint",
    };
    InvalidOptions::option(option, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Value {
        json!({
            "endpoint": "https://s3.eu-west-1.amazonaws.com",
            "region": "eu-west-1",
            "bucket": "streamio-raw",
            "key": "projects/acme/a b.mov",
            "accessKeyId": "AKIDEXAMPLE",
            "secretAccessKey": "hidden",
            "expiresIn": 900,
            "now": 1_767_323_045,
        })
    }

    fn error_for(name: &str, value: Value) -> String {
        let mut options = options();
        options[name] = value;
        presign_put(&options.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn the_url_is_that_of_the_signer_and_the_headers_are_returned() {
        let mut options = options();
        options["headers"] = json!({"Content-Type": "video/quicktime"});
        options["sessionToken"] = json!("token");
        let response: Value = serde_json::from_str(&presign_put(&options.to_string()).unwrap()).unwrap();

        let bucket = Bucket::on_aws("eu-west-1", "streamio-raw").unwrap();
        let credentials =
            Credentials::new("AKIDEXAMPLE", "hidden").unwrap().with_session_token("token").unwrap();
        let request = ObjectRequest::put("projects/acme/a b.mov").header("content-type", "video/quicktime");
        let url = BucketSigner::new(bucket, credentials).presign(&request, 900, 1_767_323_045).unwrap();
        assert_eq!(response, json!({"url": url.as_str(), "headers": {"Content-Type": "video/quicktime"}}));
    }

    #[test]
    fn errors_name_the_option_and_not_its_value() {
        for (name, value) in [
            ("endpoint", json!("hidden")),
            ("region", json!("hid/den")),
            ("bucket", json!("Hidden hidden")),
            ("key", json!("")),
            ("pathStyle", json!("hidden")),
            ("accessKeyId", json!("hidden/hidden")),
            ("secretAccessKey", json!("")),
            ("sessionToken", json!("hidden hidden")),
            ("expiresIn", json!(0)),
            ("expiresIn", json!("hidden")),
            ("headers", json!({"hidden hidden": "a"})),
            ("headers", json!({"a": "hidden\n"})),
            ("headers", json!({"host": "hidden"})),
            ("headers", json!(["hidden"])),
            ("now", json!("hidden")),
        ] {
            let message = error_for(name, value.clone());
            assert!(message.starts_with(&format!("option `{name}`: ")), "{value} {message}");
            assert!(!message.contains("hidden"), "{value} {message}");
        }
        let mut on_an_address = options();
        on_an_address["endpoint"] = json!("http://127.0.0.1:9000");
        let message = presign_put(&on_an_address.to_string()).unwrap_err().to_string();
        assert!(message.starts_with("option `pathStyle`: "), "{message}");
    }

    #[test]
    fn the_error_for_a_missing_option_names_it() {
        for name in
            ["endpoint", "region", "bucket", "key", "accessKeyId", "secretAccessKey", "expiresIn", "now"]
        {
            let mut options = options();
            options.as_object_mut().unwrap().remove(name);
            let message = presign_put(&options.to_string()).unwrap_err().to_string();
            assert!(message.starts_with(&format!("option `{name}`: ")), "{message}");
        }
    }
}
