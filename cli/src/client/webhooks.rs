//! Calls about webhooks and their deliveries. Responses are returned as received, because a newer API may have types of messages that this
//! command does not know.

use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use streamio_events::id::{VideoId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::replay::FeedBound;
use streamio_events::webhook::{DeliveryState, MessageType, TypePattern};

use super::error::ClientError;
use super::retry::RetryPolicy;
use super::wire::CursorPage;
use super::{Call, Client, IdempotencyKey};

/// The body of `POST /webhooks`, and of `PATCH /webhooks/{id}` with what changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) types: Option<Vec<TypePattern>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enabled: Option<bool>,
}

/// The body of `POST /webhooks/{id}/recover`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoverFields {
    pub(crate) since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) types: Option<Vec<TypePattern>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<u32>,
}

/// The body of `POST /webhooks/{id}/replay`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplayFields {
    pub(crate) from: FeedBound,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<FeedBound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) types: Option<Vec<TypePattern>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<u32>,
}

/// The query of `GET /webhook-deliveries`.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveryQuery {
    pub(crate) webhook_id: Option<WebhookId>,
    pub(crate) video_id: Option<VideoId>,
    pub(crate) message_type: Option<MessageType>,
    pub(crate) state: Option<DeliveryState>,
    /// Only deliveries that were first scheduled at this time or later.
    pub(crate) from: Option<Timestamp>,
    /// Only deliveries that were first scheduled before this time.
    pub(crate) to: Option<Timestamp>,
}

impl DeliveryQuery {
    /// Whether it leaves any delivery out.
    pub(crate) fn is_any(&self) -> bool {
        self.webhook_id.is_some()
            || self.video_id.is_some()
            || self.message_type.is_some()
            || self.state.is_some()
            || self.from.is_some()
            || self.to.is_some()
    }
}

impl Client {
    /// `POST /webhooks`. The response has the secret.
    pub(crate) async fn add_webhook(&self, fields: &WebhookFields) -> Result<Value, ClientError> {
        let webhook = self.change(Method::POST, &["webhooks"], Some(self.body(fields)?)).await?;
        self.checked(webhook, "webhookId")
    }

    /// `GET /webhooks`.
    pub(crate) async fn webhooks(&self) -> Result<CursorPage, ClientError> {
        self.page(&["webhooks"], &[]).await
    }

    /// `GET /webhooks/{id}`.
    pub(crate) async fn webhook(&self, id: &WebhookId) -> Result<Value, ClientError> {
        let webhook = self.read(&["webhooks", id.as_str()]).await?;
        self.checked(webhook, "webhookId")
    }

    /// `PATCH /webhooks/{id}`.
    pub(crate) async fn update_webhook(
        &self,
        id: &WebhookId,
        changes: &WebhookFields,
    ) -> Result<Value, ClientError> {
        let webhook =
            self.change(Method::PATCH, &["webhooks", id.as_str()], Some(self.body(changes)?)).await?;
        self.checked(webhook, "webhookId")
    }

    /// `DELETE /webhooks/{id}`.
    pub(crate) async fn remove_webhook(&self, id: &WebhookId) -> Result<(), ClientError> {
        self.change(Method::DELETE, &["webhooks", id.as_str()], None).await.map(drop)
    }

    /// `POST /webhooks/{id}/rotate-secret`. The response has the new secret.
    pub(crate) async fn rotate_webhook_secret(
        &self,
        id: &WebhookId,
        overlap_seconds: Option<u64>,
    ) -> Result<Value, ClientError> {
        let body = overlap_seconds.map(|seconds| json!({ "overlapSeconds": seconds }));
        let webhook = self.change(Method::POST, &["webhooks", id.as_str(), "rotate-secret"], body).await?;
        self.checked(webhook, "secret")
    }

    /// `POST /webhooks/{id}/test`. Returns the delivery of the example.
    pub(crate) async fn test_webhook(
        &self,
        id: &WebhookId,
        message_type: Option<MessageType>,
    ) -> Result<Value, ClientError> {
        let body = message_type.map(|message_type| json!({ "type": message_type }));
        let delivery = self.change(Method::POST, &["webhooks", id.as_str(), "test"], body).await?;
        self.checked(delivery, "deliveryId")
    }

    /// `GET /webhooks/public-key`.
    pub(crate) async fn webhook_public_key(&self) -> Result<Value, ClientError> {
        let key = self.read(&["webhooks", "public-key"]).await?;
        self.checked(key, "publicKey")
    }

    /// One page of `GET /webhook-deliveries`.
    pub(crate) async fn webhook_deliveries(
        &self,
        query: &DeliveryQuery,
        limit: Option<u32>,
        after: Option<&str>,
    ) -> Result<CursorPage, ClientError> {
        let limit = limit.map(|limit| limit.to_string());
        let [from, to] = [query.from, query.to].map(|time| time.map(|time| time.to_string()));
        let query = [
            ("webhookId", query.webhook_id.as_ref().map(WebhookId::as_str)),
            ("videoId", query.video_id.as_ref().map(VideoId::as_str)),
            ("type", query.message_type.map(MessageType::as_str)),
            ("state", query.state.map(DeliveryState::as_str)),
            ("from", from.as_deref()),
            ("to", to.as_deref()),
            ("limit", limit.as_deref()),
            ("after", after),
        ];
        self.page(&["webhook-deliveries"], &query).await
    }

    /// `GET /webhook-deliveries/{id}`.
    pub(crate) async fn webhook_delivery(&self, id: &str) -> Result<Value, ClientError> {
        let delivery = self.read(&["webhook-deliveries", id]).await?;
        self.checked(delivery, "deliveryId")
    }

    /// `POST /webhook-deliveries/{id}/resend`. Returns the delivery.
    pub(crate) async fn resend_webhook(&self, id: &str) -> Result<Value, ClientError> {
        let delivery = self.change(Method::POST, &["webhook-deliveries", id, "resend"], None).await?;
        self.checked(delivery, "deliveryId")
    }

    /// The response, which must have the text `member`: something else than the API may answer at its address.
    fn checked(&self, response: Value, member: &str) -> Result<Value, ClientError> {
        if response[member].is_string() {
            return Ok(response);
        }
        Err(self.unexpected(&format!("it has no {member}")))
    }

    /// `POST /webhooks/{id}/recover`. Returns the job.
    pub(crate) async fn recover_webhook(
        &self,
        id: &WebhookId,
        fields: &RecoverFields,
    ) -> Result<Value, ClientError> {
        let job = self
            .change(Method::POST, &["webhooks", id.as_str(), "recover"], Some(self.body(fields)?))
            .await?;
        self.checked(job, "replayId")
    }

    /// `POST /webhooks/{id}/replay`. Returns the job.
    pub(crate) async fn replay_webhook(
        &self,
        id: &WebhookId,
        fields: &ReplayFields,
    ) -> Result<Value, ClientError> {
        let job =
            self.change(Method::POST, &["webhooks", id.as_str(), "replay"], Some(self.body(fields)?)).await?;
        self.checked(job, "replayId")
    }

    /// `GET /webhooks/{id}/replays`.
    pub(crate) async fn webhook_replays(&self, id: &WebhookId) -> Result<CursorPage, ClientError> {
        let mut page = self.page(&["webhooks", id.as_str(), "replays"], &[]).await?;
        let jobs = page.data.into_iter().map(|job| self.checked(job, "replayId"));
        page.data = jobs.collect::<Result<_, _>>()?;
        Ok(page)
    }

    /// `GET /webhooks/{id}/replays/{replayId}`.
    pub(crate) async fn webhook_replay(&self, id: &WebhookId, replay_id: &str) -> Result<Value, ClientError> {
        let job = self.read(&["webhooks", id.as_str(), "replays", replay_id]).await?;
        self.checked(job, "replayId")
    }

    /// `DELETE /webhooks/{id}/replays/{replayId}`. Returns the job.
    pub(crate) async fn cancel_webhook_replay(
        &self,
        id: &WebhookId,
        replay_id: &str,
    ) -> Result<Value, ClientError> {
        let path = ["webhooks", id.as_str(), "replays", replay_id];
        let job = self.change(Method::DELETE, &path, None).await?;
        self.checked(job, "replayId")
    }

    async fn read(&self, path: &[&str]) -> Result<Value, ClientError> {
        let url = self.url(path, &[])?;
        let call = Call { method: Method::GET, url, idempotency_key: None, body: None };
        self.send(call, RetryPolicy::Brief).await
    }

    async fn change(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Value, ClientError> {
        let key = IdempotencyKey::random().map_err(|failure| self.unexpected(&failure.message))?;
        let url = self.url(path, &[])?;
        let call = Call { method, url, idempotency_key: Some(&key), body };
        self.send(call, RetryPolicy::Brief).await
    }

    fn body(&self, fields: &impl Serialize) -> Result<Value, ClientError> {
        serde_json::to_value(fields).map_err(|error| self.unexpected(&error.to_string()))
    }
}
