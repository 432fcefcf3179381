//! Endpoints, folded from the stream `webhooks/{project}`, and the decisions about them.

mod decide;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::decide::{EndpointChanges, EndpointRefusal, NewEndpoint};
use super::{MessageType, TypePattern};
use crate::commit::Commit;
use crate::day::Day;
use crate::event::{
    EventBody, RecordedEvent, UnreadableEvent, WebhookDisabled, WebhookRegistered, WebhookUpdated,
};
use crate::id::{ProjectId, WebhookId};
use crate::timestamp::Timestamp;

/// The most endpoints of a project.
pub const MAX_ENDPOINTS: usize = 20;
/// The most secrets of an endpoint with which a message is signed: the current one and those before whose overlap has not ended.
pub const MAX_SECRETS: usize = 5;
/// The most changes of a project's endpoints in a day. The state of endpoints is read from all their changes, by functions that all projects
/// share.
pub const MAX_CHANGES_OF_DAY: u32 = 1000;
/// The longest description, in bytes of UTF-8.
pub const MAX_DESCRIPTION_BYTES: usize = 500;
/// The highest limit of attempts in a second that an endpoint can have of its own.
pub const MAX_RATE_LIMIT: u32 = 10_000;

/// The endpoints of a project.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoints {
    /// The project.
    pub project_id: ProjectId,
    /// Those that were not removed.
    pub endpoints: BTreeMap<WebhookId, Endpoint>,
    /// The version that this was folded to; 0 before the first event.
    pub version: u64,
    /// The day of the last commit, and how many commits that day has.
    pub commits_of_day: Option<(Day, u32)>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// Where messages are sent. It was valid when it was set; the rules may have changed since.
    pub url: String,
    /// The types of the messages that it receives.
    pub types: Vec<TypePattern>,
    /// A text for people.
    pub description: Option<String>,
    /// The most attempts in a second.
    pub rate_limit: Option<u32>,
    /// Why no messages are sent to it; `None` if they are.
    pub disabled: Option<Disabled>,
    /// When messages were last allowed to be sent to its URL. What failed before does not count.
    pub enabled_at: Timestamp,
    /// The version of the secret with which messages are signed.
    pub secret_version: u32,
    /// The versions before with which they are signed, too, each until its time, the oldest one first.
    pub previous_secrets: Vec<(u32, Timestamp)>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Since when and why no messages are sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: DisabledReason,
    /// Since when no attempt had succeeded, if that is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
}

/// Why no messages are sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DisabledReason {
    /// The tenant disabled it.
    Requested,
    /// No attempt has succeeded for five days.
    Failing,
    /// It answered 410 (gone).
    Gone,
}

impl DisabledReason {
    /// The reason in its wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }
}

impl Endpoints {
    /// A project without endpoints.
    pub fn new(project_id: ProjectId) -> Self {
        Self { project_id, endpoints: BTreeMap::new(), version: 0, commits_of_day: None }
    }

    /// Applies a commit of this stream. Events up to [`Self::version`] are skipped.
    pub fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
        if commit.last() > self.version {
            let (day, of_day) = (Day::of(commit.recorded_at), self.commits_of_day);
            let before = of_day.filter(|(last, _)| *last == day).map_or(0, |(_, count)| count);
            self.commits_of_day = Some((day, before + 1));
        }
        for (version, event) in commit.numbered() {
            if version > self.version {
                self.apply(event)?;
                self.version = version;
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: &RecordedEvent) -> Result<(), UnreadableEvent> {
        let at = event.at;
        match event.body()? {
            EventBody::WebhookRegistered(registered) => {
                let WebhookRegistered { webhook_id, url, types, description, rate_limit } = registered;
                self.endpoints.entry(webhook_id.clone()).or_insert(Endpoint {
                    webhook_id,
                    url,
                    types,
                    description,
                    rate_limit,
                    disabled: None,
                    enabled_at: at,
                    secret_version: 1,
                    previous_secrets: Vec::new(),
                    created_at: at,
                    updated_at: at,
                });
            }
            EventBody::WebhookUpdated(updated) => {
                if let Some(endpoint) = self.endpoints.get_mut(&updated.webhook_id) {
                    endpoint.update(updated, at);
                }
            }
            EventBody::WebhookDisabled(disabled) => {
                if let Some(endpoint) = self.endpoints.get_mut(&disabled.webhook_id) {
                    let WebhookDisabled { reason, failing_since, .. } = disabled;
                    endpoint.disabled.get_or_insert(Disabled { at, reason, failing_since });
                    endpoint.updated_at = at;
                }
            }
            EventBody::WebhookRemoved(removed) => {
                self.endpoints.remove(&removed.webhook_id);
            }
            _ => {}
        }
        Ok(())
    }

    /// The endpoint.
    pub fn get(&self, webhook_id: &WebhookId) -> Result<&Endpoint, EndpointRefusal> {
        self.endpoints.get(webhook_id).ok_or_else(|| EndpointRefusal::NotFound(webhook_id.clone()))
    }

    /// The endpoints that receive messages of this type.
    pub fn receivers(&self, message_type: MessageType) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values().filter(move |endpoint| endpoint.receives(message_type))
    }
}

impl Endpoint {
    /// Whether messages of this type are sent to it.
    pub fn receives(&self, message_type: MessageType) -> bool {
        self.disabled.is_none() && self.types.iter().any(|pattern| pattern.selects(message_type))
    }

    /// The versions of the secret with which a message is signed at `now`, the current one first.
    pub fn secret_versions(&self, now: Timestamp) -> impl Iterator<Item = u32> {
        let previous = self.previous_secrets.iter().rev().filter(move |(_, until)| *until > now);
        [self.secret_version].into_iter().chain(previous.map(|(version, _)| *version))
    }

    /// Until when messages are signed with a secret before the current one, too; `None` if they are not at `now`.
    pub fn previous_secret_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.previous_secrets.iter().map(|(_, until)| *until).filter(|until| *until > now).max()
    }

    fn update(&mut self, updated: WebhookUpdated, at: Timestamp) {
        if updated == WebhookUpdated::of(&self.webhook_id) {
            return;
        }
        let WebhookUpdated { url, types, description, rate_limit, enabled, secret_version, .. } = updated;
        self.updated_at = at;
        if let Some(url) = url {
            self.url = url;
            self.enabled_at = at;
        }
        if let Some(types) = types {
            self.types = types;
        }
        if let Some(description) = description {
            self.description = Some(description).filter(|text| !text.is_empty());
        }
        if let Some(rate_limit) = rate_limit {
            self.rate_limit = Some(rate_limit).filter(|limit| *limit > 0);
        }
        match enabled {
            Some(true) => {
                self.disabled = None;
                self.enabled_at = at;
            }
            Some(false) => {
                let reason = DisabledReason::Requested;
                self.disabled.get_or_insert(Disabled { at, reason, failing_since: None });
            }
            None => {}
        }
        if let Some(version) = secret_version.filter(|version| *version > self.secret_version) {
            let until = updated.previous_secret_until.unwrap_or(at);
            self.previous_secrets.push((self.secret_version, until));
            // A leaked secret is not used any longer than its successor.
            for (_, ends_at) in &mut self.previous_secrets {
                *ends_at = until.min(*ends_at);
            }
            self.previous_secrets.retain(|(_, ends_at)| *ends_at > at);
            let too_many = (self.previous_secrets.len() + 1).saturating_sub(MAX_SECRETS);
            self.previous_secrets.drain(..too_many);
            self.secret_version = version;
        }
    }
}
