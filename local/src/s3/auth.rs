//! The key pairs whose signatures the S3 server accepts.

use std::fmt;

use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

/// A key pair that may sign requests. `Debug` does not show the secret.
#[derive(Clone)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: SecretKey,
}

impl Credentials {
    /// A key pair from its access key id and its secret access key.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: SecretKey::from(secret_access_key.into()),
        }
    }

    /// The access key id.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret access key.
    pub(super) fn secret(&self) -> &str {
        self.secret_access_key.expose()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// The accepted key pairs. Several, so that keys can be rotated while URLs signed with an older one are in use.
pub(super) struct AcceptedCredentials(pub(super) Vec<Credentials>);

#[async_trait::async_trait]
impl S3Auth for AcceptedCredentials {
    async fn get_secret_key(&self, access_key_id: &str) -> S3Result<SecretKey> {
        self.0
            .iter()
            .find(|pair| pair.access_key_id == access_key_id)
            .map(|pair| pair.secret_access_key.clone())
            .ok_or_else(|| s3_error!(InvalidAccessKeyId, "the access key id in the signature is unknown"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_secret() {
        let shown = format!("{:?}", Credentials::new("AKIDEXAMPLE", "very-secret"));
        assert_eq!(shown, r#"Credentials { access_key_id: "AKIDEXAMPLE", .. }"#);
    }
}
