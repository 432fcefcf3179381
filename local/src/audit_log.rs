//! The transparency logs of one machine: a task that integrates new commits into the trees of their projects.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use streamio_core::audit::integration::{Integration, IntegrationError};
use streamio_core::audit::keys::AuditKeys;
use streamio_core::audit::recording::record;
use streamio_core::home_region::AuditPorts;
use streamio_core::ports::AdapterError;
use streamio_core::ports::feed_hashes::FeedHashes;
use streamio_events::commit::CommitHash;
use streamio_events::error_chain::chain;
use streamio_events::id::ProjectId;
use streamio_events::sqlite::SqliteLog;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[cfg(test)]
pub(crate) use self::files::paths_below;
pub(crate) use self::files::{AuditFiles, CHECKPOINT, ProjectFiles};
use crate::clock;
use crate::data_dir::{DataDir, SECRETS};
use crate::platform::CheckpointIntervals;
use crate::project_feed::LogFeed;
use crate::secrets::Secrets;

/// The pause before a project is tried again whose commits could not be integrated, in intervals between checkpoints.
const RETRY: u32 = 6;

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

/// Integrates the commits of all projects.
pub(crate) struct Audit {
    pub(crate) log: SqliteLog,
    pub(crate) files: AuditFiles,
    pub(crate) keys: AuditKeys,
    pub(crate) intervals: CheckpointIntervals,
}

impl Audit {
    /// What the home region needs for the same logs.
    pub(crate) fn ports(&self) -> AuditPorts {
        AuditPorts {
            trees: Arc::new(self.files.clone()),
            places: Arc::new(LogFeed(self.log.clone())),
            keys: self.keys.clone(),
        }
    }

    /// Integrates new commits until `stop`: immediately after a time without any, and at most once in the interval.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut changed = self.log.watch();
        let mut position = 0;
        // When each of the projects is tried again that could not be integrated.
        let mut failed: BTreeMap<ProjectId, Instant> = BTreeMap::new();
        while !stop.is_cancelled() {
            changed.borrow_and_update();
            let mut due: BTreeSet<ProjectId> = BTreeSet::new();
            let mut next_read = None;
            match self.log.projects_after(position).await {
                Ok((projects, last)) => {
                    due.extend(projects);
                    position = last;
                }
                Err(error) => {
                    tracing::error!(
                        error = chain(&error),
                        "the log cannot be read for the audit log; retrying"
                    );
                    next_read = Some(Instant::now());
                }
            }
            due.retain(|project_id| !failed.contains_key(project_id));
            let now = Instant::now();
            due.extend(
                failed.extract_if(.., |_, retry_at| *retry_at <= now).map(|(project_id, _)| project_id),
            );
            for project_id in due {
                if stop.is_cancelled() {
                    return;
                }
                if let Err(error) = self.integrate(&project_id).await {
                    tracing::error!(%project_id, error = chain(&error), "the audit log of the project cannot be continued; retrying");
                    failed.insert(project_id, Instant::now() + RETRY * self.intervals.signed);
                }
            }
            let next = failed.values().copied().chain(next_read).min();
            let change_or_retry = async {
                tokio::time::sleep(self.intervals.signed).await;
                match next {
                    Some(at) => drop(tokio::time::timeout_at(at, changed.changed()).await),
                    None => drop(changed.changed().await),
                }
            };
            tokio::select! {
                () = change_or_retry => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Brings the tree of a project up to date, and records the checkpoint if that is due.
    async fn integrate(&self, project_id: &ProjectId) -> Result<(), IntegrationError> {
        let feed = LogHashes { log: &self.log, project_id };
        let (store, signer) = (self.files.of(project_id), self.keys.signer(project_id));
        let integration = Integration { feed: &feed, store: &store, signer: &signer };
        let Some(checkpoint) = integration.run().await? else { return Ok(()) };
        tracing::debug!(%project_id, size = checkpoint.checkpoint.size(), "a checkpoint was signed");
        if let Err(error) =
            record(&self.log, project_id, &checkpoint, self.intervals.recorded, clock::now()).await
        {
            // A later checkpoint is recorded instead.
            tracing::warn!(%project_id, error = chain(&error), "the checkpoint could not be recorded");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
