//! How API keys are printed.

use serde_json::{Value, json};
use streamio_events::project::Project;
use streamio_events::timestamp::Timestamp;
use streamio_local::operator::NewApiKey;

use crate::output::table;

/// A new key as JSON: `{projectId, apiKey, keyId}`. The only output that contains the key itself.
pub(super) fn new_key_json(new: &NewApiKey) -> Value {
    json!({"projectId": new.project.project_id, "apiKey": new.api_key.reveal(), "keyId": new.key_id})
}

/// A new key as text. The key cannot be shown again.
pub(super) fn new_key_text(new: &NewApiKey) -> String {
    format!("API key {} (shown only once; only its hash is stored):\n  {}", new.key_id, new.api_key.reveal())
}

/// A project's keys as a table.
pub(super) fn key_table(project: &Project) -> String {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let rows = project.keys.iter().map(|(id, key)| {
        let scopes: Vec<_> = key.scopes.iter().filter_map(|scope| serde_json::to_value(scope).ok()).collect();
        let scopes: Vec<_> = scopes.iter().filter_map(Value::as_str).collect();
        [
            id.to_string(),
            scopes.join(","),
            key.created_at.to_string(),
            time(key.expires_at),
            time(key.revoked_at),
            key.label.clone().unwrap_or_default(),
        ]
    });
    table(["KEY", "SCOPES", "CREATED", "EXPIRES", "REVOKED", "LABEL"], rows)
}
