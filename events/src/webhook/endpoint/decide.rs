//! The decisions about endpoints.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DisabledReason, Endpoints, MAX_CHANGES_OF_DAY, MAX_ENDPOINTS};
use crate::day::Day;
use crate::event::{EventBody, WebhookDisabled, WebhookRegistered, WebhookRemoved, WebhookUpdated};
use crate::id::{MessageId, WebhookId};
use crate::timestamp::Timestamp;
use crate::webhook::TypePattern;

/// An endpoint to register. Its parts are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Where messages are sent.
    pub url: String,
    /// The types of the messages that it receives: at least one.
    pub types: Vec<TypePattern>,
    /// A text for people.
    pub description: Option<String>,
    /// The most attempts in a second, at least 1.
    pub rate_limit: Option<u32>,
}

/// Changes of an endpoint. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointChanges {
    /// Where messages are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The types of the messages that it receives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<TypePattern>>,
    /// A text for people; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The most attempts in a second; 0: no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u32>,
    /// Whether messages are sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Why a command about an endpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointRefusal {
    /// The project has no such endpoint.
    #[error("there is no webhook {0}")]
    NotFound(WebhookId),
    /// The project has as many endpoints as it may have.
    #[error("a project may have {MAX_ENDPOINTS} webhooks; remove one first")]
    TooMany,
    /// The project has changed its endpoints as often as it may in a day.
    #[error("a project may change its webhooks {MAX_CHANGES_OF_DAY} times a day")]
    TooManyChanges,
}

impl Endpoints {
    /// Refuses to record `events` at `now` if the endpoints were changed as often as they may be on that day. An endpoint can always be removed.
    pub fn check_changes(&self, events: &[EventBody], now: Timestamp) -> Result<(), EndpointRefusal> {
        let today = self.commits_of_day.filter(|(day, _)| *day == Day::of(now));
        let is_removal = events.iter().all(|event| matches!(event, EventBody::WebhookRemoved(_)));
        match today {
            Some((_, count)) if count >= MAX_CHANGES_OF_DAY && !is_removal => {
                Err(EndpointRefusal::TooManyChanges)
            }
            _ => Ok(()),
        }
    }

    /// Registers an endpoint under the id `webhook_id`; no events if it is registered.
    pub fn register(
        &self,
        webhook_id: &WebhookId,
        new: NewEndpoint,
    ) -> Result<Vec<EventBody>, EndpointRefusal> {
        if self.endpoints.contains_key(webhook_id) {
            return Ok(vec![]);
        }
        if self.endpoints.len() >= MAX_ENDPOINTS {
            return Err(EndpointRefusal::TooMany);
        }
        let NewEndpoint { url, types, description, rate_limit } = new;
        let webhook_id = webhook_id.clone();
        Ok(vec![WebhookRegistered { webhook_id, url, types, description, rate_limit }.into()])
    }

    /// Changes an endpoint; no events if nothing changes. To enable it, or to change its URL, begins a new period in which failures count.
    pub fn update(
        &self,
        webhook_id: &WebhookId,
        changes: EndpointChanges,
    ) -> Result<Vec<EventBody>, EndpointRefusal> {
        let endpoint = self.get(webhook_id)?;
        let EndpointChanges { url, types, description, rate_limit, enabled } = changes;
        let has_description = endpoint.description.as_deref().unwrap_or_default();
        let updated = WebhookUpdated {
            webhook_id: webhook_id.clone(),
            url: url.filter(|url| *url != endpoint.url),
            types: types.filter(|types| *types != endpoint.types),
            description: description.filter(|text| text != has_description),
            rate_limit: rate_limit.filter(|limit| *limit != endpoint.rate_limit.unwrap_or(0)),
            enabled: enabled.filter(|enabled| *enabled == endpoint.disabled.is_some()),
            secret_version: None,
            previous_secret_until: None,
        };
        let changes_nothing = WebhookUpdated::of(webhook_id);
        Ok(if updated == changes_nothing { vec![] } else { vec![updated.into()] })
    }

    /// Changes an endpoint as [`Self::update`] does, with an event also if nothing changes: a request that is recorded is known when it
    /// is repeated later, and does not undo what was changed since.
    pub fn update_remembered(
        &self,
        webhook_id: &WebhookId,
        changes: EndpointChanges,
    ) -> Result<Vec<EventBody>, EndpointRefusal> {
        let mut events = self.update(webhook_id, changes)?;
        if events.is_empty() {
            events.push(WebhookUpdated::of(webhook_id).into());
        }
        Ok(events)
    }

    /// Replaces the secret of an endpoint. Messages are signed with the old one, too, for the time `overlap` from `now` on, or until
    /// further rotations have made [`MAX_SECRETS`](super::MAX_SECRETS) newer ones.
    pub fn rotate_secret(
        &self,
        webhook_id: &WebhookId,
        now: Timestamp,
        overlap: Duration,
    ) -> Result<Vec<EventBody>, EndpointRefusal> {
        let endpoint = self.get(webhook_id)?;
        let updated = WebhookUpdated {
            secret_version: Some(endpoint.secret_version + 1),
            previous_secret_until: Some(now.plus(overlap)),
            ..WebhookUpdated::of(webhook_id)
        };
        Ok(vec![updated.into()])
    }

    /// Removes an endpoint.
    pub fn remove(&self, webhook_id: &WebhookId) -> Result<Vec<EventBody>, EndpointRefusal> {
        self.get(webhook_id)?;
        Ok(vec![WebhookRemoved { webhook_id: webhook_id.clone() }.into()])
    }

    /// Disables an endpoint after an attempt with `message_id`; no events if it is disabled or was removed.
    pub fn disable(
        &self,
        webhook_id: &WebhookId,
        reason: DisabledReason,
        failing_since: Option<Timestamp>,
        message_id: &MessageId,
    ) -> Vec<EventBody> {
        match self.endpoints.get(webhook_id) {
            Some(endpoint) if endpoint.disabled.is_none() => {
                let (webhook_id, message_id) = (webhook_id.clone(), Some(message_id.clone()));
                vec![WebhookDisabled { webhook_id, reason, failing_since, message_id }.into()]
            }
            _ => vec![],
        }
    }
}

impl WebhookUpdated {
    /// An update that changes nothing.
    pub(super) fn of(webhook_id: &WebhookId) -> Self {
        Self {
            webhook_id: webhook_id.clone(),
            url: None,
            types: None,
            description: None,
            rate_limit: None,
            enabled: None,
            secret_version: None,
            previous_secret_until: None,
        }
    }
}
