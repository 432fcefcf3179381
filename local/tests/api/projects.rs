//! The projects and API keys of the targets. They are the same for all targets.

use streamio_edge::testing;
use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::event::{
    EventBody, KeyCreated, KeyRevoked, ProjectCreated, ProjectSuspended, ProjectUpdated, Scope,
};
use streamio_events::id::CommitId;
use streamio_events::limits::{Limit, OwnLimits};
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::history::at;

/// A project that is only read. It has videos in all states.
pub(crate) const ACME: &str = "acme";
/// Another project, with a video of the same name as one of [`ACME`].
pub(crate) const GLOBEX: &str = "globex";
/// A suspended project.
pub(crate) const INITECH: &str = "initech";
/// The project of the upload scenarios.
pub(crate) const UPLOADS: &str = "uploads";
/// The project of the deletion and reprocessing scenarios.
pub(crate) const COMMANDS: &str = "commands";
/// The project of the feed scenario.
pub(crate) const FEEDS: &str = "feeds";
/// A project that may store 1,000 bytes.
pub(crate) const LIMITED: &str = "limited";
/// A project that may store nothing.
pub(crate) const FULL: &str = "full";
/// The project of the webhook scenarios.
pub(crate) const WEBHOOKS: &str = "webhooks";

/// The API keys.
pub(crate) struct Keys {
    /// One key of each kind of [`ACME`], and one of [`INITECH`].
    pub(crate) table: testing::Target,
    /// Another key of [`ACME`] with the scope `admin`.
    pub(crate) acme: ApiKey,
    /// A key of [`ACME`] whose quota is exhausted by a scenario.
    pub(crate) exhausted: ApiKey,
    /// A key of [`GLOBEX`] with all scopes except `admin`.
    pub(crate) globex: ApiKey,
    /// A key of [`UPLOADS`] with the scope `admin`.
    pub(crate) uploads: ApiKey,
    /// A key of [`COMMANDS`] with the scope `admin`.
    pub(crate) commands: ApiKey,
    /// A key of [`FEEDS`] with the scope `admin`.
    pub(crate) feeds: ApiKey,
    /// A key of [`LIMITED`] with the scope `admin`.
    pub(crate) limited: ApiKey,
    /// A key of [`FULL`] with the scope `admin`.
    pub(crate) full: ApiKey,
    /// A key of [`WEBHOOKS`] with the scope `admin`.
    pub(crate) webhooks: ApiKey,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let key = |number: u8| ApiKey::generate("live", [number; 32]).unwrap();
        let table = testing::Target {
            project_id: ACME.parse().unwrap(),
            other_project_id: GLOBEX.parse().unwrap(),
            admin: key(1),
            upload: key(2),
            playback: key(3),
            read: key(4),
            expired: key(5),
            revoked: key(6),
            suspended: key(7),
        };
        Self {
            table,
            acme: key(8),
            exhausted: key(9),
            globex: key(10),
            uploads: key(11),
            commands: key(12),
            feeds: key(13),
            limited: key(14),
            full: key(15),
            webhooks: key(16),
        }
    }

    /// All keys.
    pub(crate) fn all(&self) -> Vec<&ApiKey> {
        let testing::Target { admin, upload, playback, read, expired, revoked, suspended, .. } = &self.table;
        vec![
            admin,
            upload,
            playback,
            read,
            expired,
            revoked,
            suspended,
            &self.acme,
            &self.exhausted,
            &self.globex,
            &self.uploads,
            &self.commands,
            &self.feeds,
            &self.limited,
            &self.full,
            &self.webhooks,
        ]
    }
}

/// Appends the events that create the projects and their keys.
pub(crate) async fn append_projects(log: &SqliteLog, keys: &Keys) {
    let admin = &[Scope::Admin][..];
    let all_but_admin = [Scope::Upload, Scope::Playback, Scope::Read];
    let table = &keys.table;
    let of_acme = vec![
        key_created(&table.admin, admin, None),
        key_created(&table.upload, &[Scope::Upload], None),
        key_created(&table.playback, &[Scope::Playback], None),
        key_created(&table.read, &[Scope::Read], None),
        key_created(&table.expired, admin, Some(at(60))),
        key_created(&table.revoked, admin, None),
        KeyRevoked { key_id: table.revoked.hash().key_id(), reason: Some("lost".to_owned()) }.into(),
        key_created(&keys.acme, admin, None),
        key_created(&keys.exhausted, &[Scope::Read], None),
    ];
    let of_initech = vec![
        key_created(&table.suspended, admin, None),
        ProjectSuspended { reason: Some("unpaid".to_owned()) }.into(),
    ];
    for (project, events) in [
        (ACME, of_acme),
        (GLOBEX, vec![key_created(&keys.globex, &all_but_admin, None)]),
        (INITECH, of_initech),
        (UPLOADS, vec![key_created(&keys.uploads, admin, None)]),
        (COMMANDS, vec![key_created(&keys.commands, admin, None)]),
        (FEEDS, vec![key_created(&keys.feeds, admin, None)]),
        (LIMITED, vec![key_created(&keys.limited, admin, None), stored_bytes(1000)]),
        (FULL, vec![key_created(&keys.full, admin, None), stored_bytes(0)]),
        (WEBHOOKS, vec![key_created(&keys.webhooks, admin, None)]),
    ] {
        let project_created = ProjectCreated { name: Some(format!("The project {project}")) }.into();
        let id = CommitId::derived_from(&["found", project]);
        let commit = NewCommit::new(id, at(0), [project_created].into_iter().chain(events));
        let stream = StreamId::Project(project.parse().unwrap());
        log.append(&stream, Expected::Exactly(0), commit).await.unwrap();
    }
}

/// The event that limits the bytes that a project may store.
fn stored_bytes(limit: u64) -> EventBody {
    let limits = OwnLimits { stored_bytes: Some(Limit::AtMost(limit)), ..OwnLimits::default() };
    ProjectUpdated { name: None, allow_truncated: None, limits: Some(limits) }.into()
}

/// The event that creates a key.
fn key_created(key: &ApiKey, scopes: &[Scope], expires_at: Option<Timestamp>) -> EventBody {
    let hash = key.hash();
    KeyCreated { key_id: hash.key_id(), key_hash: hash, scopes: scopes.to_vec(), label: None, expires_at }
        .into()
}
