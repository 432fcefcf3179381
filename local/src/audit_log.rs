//! The transparency logs of one machine: a task that integrates new commits into the trees of their projects.

mod files;
mod integrating;

use anyhow::Context as _;
use async_trait::async_trait;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use streamio_core::audit::keys::AuditKeys;
use streamio_core::ports::AdapterError;
use streamio_core::ports::feed_hashes::FeedHashes;
use streamio_events::commit::CommitHash;
use streamio_events::id::ProjectId;
use streamio_events::sqlite::SqliteLog;

#[cfg(test)]
pub(crate) use self::files::paths_below;
pub(crate) use self::files::{AuditFiles, CHECKPOINT, ProjectFiles};
pub(crate) use self::integrating::Audit;
use crate::data_dir::{DataDir, SECRETS};
use crate::secrets::Secrets;

/// The file with what all logs of a data directory have in common.
pub(crate) const SETTINGS: &str = "audit.json";

/// What all logs of a data directory have in common.
#[derive(Serialize, Deserialize)]
struct Settings {
    /// The host in their origins.
    host: String,
}

/// The keys of the projects' logs. The host in their origins is that of the API's URL at the first start, and stays the same: it is part of
/// every checkpoint.
pub(crate) fn keys(data_dir: &DataDir, secrets: &Secrets, api: &str) -> anyhow::Result<AuditKeys> {
    let settings = if let Some(settings) = data_dir.read_json(SETTINGS)? {
        settings
    } else {
        let host = api.split_once("://").map_or(api, |(_, host)| host).to_owned();
        let settings = Settings { host };
        data_dir.write_json(SETTINGS, &settings)?;
        settings
    };
    derived(secrets, settings)
}

/// The keys of a data directory in which a platform has run; `None` if none has. Nothing is generated.
pub(crate) fn existing_keys(data_dir: &DataDir) -> anyhow::Result<Option<AuditKeys>> {
    let secrets: Option<Secrets> = data_dir.read_json(SECRETS)?;
    let settings: Option<Settings> = data_dir.read_json(SETTINGS)?;
    // Without the secret a platform of an earlier release has run.
    let both = secrets.filter(|secrets| !secrets.audit_secret.is_empty()).zip(settings);
    both.map(|(secrets, settings)| derived(&secrets, settings)).transpose()
}

fn derived(secrets: &Secrets, settings: Settings) -> anyhow::Result<AuditKeys> {
    let secret = HEXLOWER
        .decode(secrets.audit_secret.as_bytes())
        .context("auditSecret in secrets.json is not hexadecimal")?;
    AuditKeys::new(&secret, settings.host).context("the keys of the audit log cannot be derived")
}

/// The hashes of a project's commits in the log.
pub(crate) struct LogHashes<'a> {
    pub(crate) log: &'a SqliteLog,
    pub(crate) project_id: &'a ProjectId,
}

#[async_trait]
impl FeedHashes for LogHashes<'_> {
    async fn hashes(&self, from: u64, limit: usize) -> Result<Vec<CommitHash>, AdapterError> {
        Ok(self.log.hashes_of_project(self.project_id, from, limit).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_stays_the_one_of_the_first_start() {
        let scratch = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(scratch.path()).unwrap();
        let secrets = Secrets::load_or_generate(&data_dir).unwrap();
        let acme = "acme".parse().unwrap();
        for api in ["http://127.0.0.1:8080", "http://127.0.0.1:8081"] {
            assert_eq!(keys(&data_dir, &secrets, api).unwrap().origin(&acme), "127.0.0.1:8080/acme");
        }
    }
}
