//! Clients: of the API, and the peer, which signs and sends messages and does nothing else.

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use streamio_core::webhooks::attempts::MAX_ATTEMPTS_PER_ENDPOINT;
use streamio_events::id::{ProjectId, VideoId, WebhookId};
use streamio_events::object_key::SourceKey;
use streamio_events::timestamp::Timestamp;

use super::processor::Spent;
use super::receiver::Receiver;

/// A body of the size of the usual ones.
pub(crate) fn body(project_id: &ProjectId, video_id: &VideoId, at: Timestamp) -> String {
    let status = json!({
        "videoId": video_id, "projectId": project_id, "s3Key": format!("projects/{project_id}/films/clip.mp4"), "state": "uploaded",
        "playable": false, "progress": 0, "generation": 1, "attempt": 0, "createdAt": at, "updatedAt": at, "version": 2,
        "source": { "bytes": 1_048_576, "contentType": "video/mp4", "etag": "d41d8cd98f00b204e9800998ecf8427e" },
        "metadata": { "title": "A film", "owner": "42" },
    });
    json!({
        "type": "video.uploaded", "timestamp": at,
        "data": { "projectId": project_id, "videoId": video_id, "seq": 12_345, "occurredAt": at, "video": status },
    })
    .to_string()
}

/// Registers an endpoint for messages about uploads.
pub(crate) async fn register(api: &str, api_key: &str, url: &str) -> Result<WebhookId> {
    let request = json!({ "url": url, "types": ["video.uploaded"] });
    let created =
        reqwest::Client::new().post(format!("{api}/webhooks")).header("x-api-key", api_key).json(&request);
    let created: Value = created.send().await?.error_for_status()?.json().await?;
    Ok(created["webhookId"].as_str().context("the webhook has an id")?.parse()?)
}

/// Uploads files of one project.
pub(crate) struct Uploads {
    client: reqwest::Client,
    url: String,
    api_key: String,
}

impl Uploads {
    pub(crate) fn new(api: &str, api_key: &str) -> Self {
        Self { client: reqwest::Client::new(), url: format!("{api}/upload-url"), api_key: api_key.to_owned() }
    }

    pub(crate) async fn upload(&self, name: &str) -> Result<()> {
        let granted =
            self.client.post(&self.url).header("x-api-key", &self.api_key).json(&json!({ "filename": name }));
        let granted: Value = granted.send().await?.error_for_status()?.json().await?;
        let url = granted["uploadUrl"].as_str().context("an upload has a URL")?;
        self.client.put(url).body("no film").send().await?.error_for_status()?;
        Ok(())
    }
}

/// Sends `messages` as many at a time as the platform does. Returns the result.
pub(crate) async fn send(receiver: &Receiver, messages: usize) -> Result<Value> {
    receiver.forget().await?;
    let (project_id, key): (ProjectId, SourceKey) =
        ("project-0".parse()?, "projects/project-0/0.mp4".parse()?);
    let (body, webhook) = (
        body(&project_id, &VideoId::of(&key), Timestamp::default()),
        Webhook::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?,
    );
    let (client, url) = (reqwest::Client::new(), receiver.url());
    let before = Spent::now()?;
    stream::iter(0..messages)
        .map(async |number| {
            let id = format!("msg_{number}");
            let signature = webhook.sign(&id, 1_767_323_045, body.as_bytes())?;
            let request =
                client.post(&url).header("webhook-id", &id).header("webhook-timestamp", "1767323045");
            let request = request.header("webhook-signature", signature).body(body.clone());
            request.send().await?.error_for_status()?;
            anyhow::Ok(())
        })
        .buffer_unordered(MAX_ATTEMPTS_PER_ENDPOINT)
        .try_collect::<()>()
        .await?;
    let arrivals = receiver.wait_for(messages).await?;
    let spent = Spent::now()?.since(before);
    receiver.forget().await?;
    super::rate(&arrivals, spent)
}
