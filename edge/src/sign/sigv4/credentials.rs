use std::fmt;
use std::sync::Arc;

use streamio_events::secret::Secret;

/// An AWS access key, with a session token if the credentials are temporary. Cloning is cheap.
///
/// `Debug` shows only the access key id, which AWS does not treat as a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: Arc<str>,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

/// Why credentials are invalid. Never contains the text, which may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    /// The id is part of `X-Amz-Credential`, whose separator is a slash.
    #[error("the access key id must be 1 to 128 characters of A-Z, a-z, 0-9, '_', '-', '.'")]
    AccessKeyId,
    /// Signing with an empty secret would protect nothing.
    #[error("the secret access key is empty")]
    SecretAccessKey,
    /// The token is sent as a header value.
    #[error("the session token must be one or more visible ASCII characters")]
    SessionToken,
}

impl Credentials {
    /// Long-lived credentials.
    pub fn new(access_key_id: &str, secret_access_key: &str) -> Result<Self, InvalidCredentials> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !(1..=128).contains(&access_key_id.len()) || !access_key_id.bytes().all(plain) {
            return Err(InvalidCredentials::AccessKeyId);
        }
        if secret_access_key.is_empty() {
            return Err(InvalidCredentials::SecretAccessKey);
        }
        Ok(Self {
            access_key_id: access_key_id.into(),
            secret_access_key: Secret::new(secret_access_key),
            session_token: None,
        })
    }

    /// The same credentials with the session token of temporary credentials.
    pub fn with_session_token(self, session_token: &str) -> Result<Self, InvalidCredentials> {
        if session_token.is_empty() || !session_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidCredentials::SessionToken);
        }
        Ok(Self { session_token: Some(Secret::new(session_token)), ..self })
    }

    /// The public part: it appears in every signed URL.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret part, for verifying signatures and for passing the key to a child process.
    pub fn secret_access_key(&self) -> &str {
        self.secret_access_key.reveal()
    }

    /// The session token of temporary credentials.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(Secret::reveal)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_the_secret_nor_the_token() {
        let credentials =
            Credentials::new("AKIDEXAMPLE", "hidden-1").unwrap().with_session_token("hidden-2").unwrap();
        assert_eq!(format!("{credentials:?}"), r#"Credentials { access_key_id: "AKIDEXAMPLE", .. }"#);
    }

    #[test]
    fn invalid_credentials_are_refused() {
        assert_eq!(Credentials::new("", "s"), Err(InvalidCredentials::AccessKeyId));
        assert_eq!(Credentials::new("a/b", "s"), Err(InvalidCredentials::AccessKeyId));
        assert_eq!(Credentials::new("a", ""), Err(InvalidCredentials::SecretAccessKey));
        let token = |text| Credentials::new("a", "s").unwrap().with_session_token(text);
        assert_eq!(token(""), Err(InvalidCredentials::SessionToken));
        assert_eq!(token("a\r\nx-amz-acl: public-read"), Err(InvalidCredentials::SessionToken));
    }
}
