//! The keys with which messages are signed, in the form of Standard Webhooks
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! All keys are derived from the deployment's webhook secret, so none is stored: the secret of an endpoint from its project, its id and the
//! version that the log states; the pair of keys of a project from its id. A tenant's keys are of no use with another tenant's messages:
//! an endpoint that another project registers under the same URL gets messages that do not verify with the first project's keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use streamio_events::id::{MessageId, ProjectId, WebhookId};
use streamio_events::secret::Secret;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Endpoint;

use crate::root_secret::{RootSecret, ShortSecret};

/// The prefix of an endpoint's secret.
const SECRET_PREFIX: &str = "whsec_";
/// The prefix of a public key.
const PUBLIC_KEY_PREFIX: &str = "whpk_";

/// Derives the keys of endpoints and projects from the deployment's webhook secret.
#[derive(Debug, Clone)]
pub struct WebhookKeys {
    root: RootSecret,
}

impl WebhookKeys {
    /// The keys of the deployment with the webhook secret `secret`, at least 32 random bytes.
    pub fn new(secret: &[u8]) -> Result<Self, ShortSecret> {
        RootSecret::new(secret).map(|root| Self { root })
    }

    /// The secret of an endpoint in this version, as the tenant gets it: `whsec_` and base64.
    pub fn secret(&self, project_id: &ProjectId, webhook_id: &WebhookId, version: u32) -> Secret {
        let key = self.endpoint_key(project_id, webhook_id, version);
        Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(key)))
    }

    /// The public key with which a project's messages are verified: `whpk_` and base64 of the 32 bytes of an Ed25519 key.
    pub fn public_key(&self, project_id: &ProjectId) -> String {
        let key = self.signing_key(project_id).verifying_key();
        format!("{PUBLIC_KEY_PREFIX}{}", STANDARD.encode(key.as_bytes()))
    }

    /// The headers of a request that sends `body` to `endpoint` at `now`: the message's id, the time, and a signature by each of the
    /// endpoint's secrets and by the project's key.
    pub fn headers(
        &self,
        project_id: &ProjectId,
        endpoint: &Endpoint,
        message_id: &MessageId,
        now: Timestamp,
        body: &str,
    ) -> HeaderMap {
        let timestamp = now.unix_seconds().to_string();
        let signed = format!("{message_id}.{timestamp}.{body}");
        let symmetric = endpoint.secret_versions(now).map(|version| {
            let key = self.endpoint_key(project_id, &endpoint.webhook_id, version);
            let mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
            format!("v1,{}", STANDARD.encode(mac.chain_update(&signed).finalize().into_bytes()))
        });
        let asymmetric = self.signing_key(project_id).sign(signed.as_bytes());
        let asymmetric = format!("v1a,{}", STANDARD.encode(asymmetric.to_bytes()));
        let signatures: Vec<String> = symmetric.chain([asymmetric]).collect();
        let headers = [
            (HeaderName::from_static("webhook-id"), message_id.to_string()),
            (HeaderName::from_static("webhook-timestamp"), timestamp),
            (HeaderName::from_static("webhook-signature"), signatures.join(" ")),
        ];
        let value = |text: String| HeaderValue::try_from(text).expect("ids, numbers and base64 are ASCII");
        headers.into_iter().map(|(name, text)| (name, value(text))).collect()
    }

    fn endpoint_key(&self, project_id: &ProjectId, webhook_id: &WebhookId, version: u32) -> [u8; 32] {
        self.root.derive(&["endpoint", project_id.as_str(), webhook_id.as_str(), &version.to_string()])
    }

    fn signing_key(&self, project_id: &ProjectId) -> SigningKey {
        SigningKey::from_bytes(&self.root.derive(&["project", project_id.as_str()]))
    }
}
