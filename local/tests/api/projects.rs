//! The projects of every target and their API keys, which are the same everywhere.

use streamio_edge::testing;
use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::event::{EventBody, KeyCreated, KeyRevoked, ProjectCreated, ProjectSuspended, Scope};
use streamio_events::id::CommitId;
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::history::at;

/// The project that is only read from. It has videos in all states.
pub(crate) const ACME: &str = "acme";
/// Another project, with a video of the same name as one of [`ACME`]'s.
pub(crate) const GLOBEX: &str = "globex";
/// A suspended project.
pub(crate) const INITECH: &str = "initech";
/// The project into which is uploaded.
pub(crate) const UPLOADS: &str = "uploads";
/// The project whose videos are deleted and processed again.
pub(crate) const COMMANDS: &str = "commands";
/// The project whose feed is read.
pub(crate) const FEEDS: &str = "feeds";

/// The API keys.
pub(crate) struct Keys {
    /// One key of each kind of [`ACME`], and one of [`INITECH`].
    pub(crate) table: testing::Target,
    /// Another key of [`ACME`] with the scope `admin`.
    pub(crate) acme: ApiKey,
    /// A key of [`ACME`] whose quota is used up.
    pub(crate) hasty: ApiKey,
    /// A key of [`GLOBEX`] with all scopes but `admin`.
    pub(crate) globex: ApiKey,
    /// A key of [`UPLOADS`] with the scope `admin`.
    pub(crate) uploads: ApiKey,
    /// A key of [`COMMANDS`] with the scope `admin`.
    pub(crate) commands: ApiKey,
    /// A key of [`FEEDS`] with the scope `admin`.
    pub(crate) feeds: ApiKey,
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
            hasty: key(9),
            globex: key(10),
            uploads: key(11),
            commands: key(12),
            feeds: key(13),
        }
    }

    /// Every key that is a secret.
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
            &self.hasty,
            &self.globex,
            &self.uploads,
            &self.commands,
            &self.feeds,
        ]
    }
}

/// Appends the projects and their keys.
pub(crate) async fn found(log: &SqliteLog, keys: &Keys) {
    let admin = &[Scope::Admin][..];
    let all_but_admin = [Scope::Upload, Scope::Playback, Scope::Read];
    let table = &keys.table;
    let of_acme = vec![
        created(&table.admin, admin, None),
        created(&table.upload, &[Scope::Upload], None),
        created(&table.playback, &[Scope::Playback], None),
        created(&table.read, &[Scope::Read], None),
        created(&table.expired, admin, Some(at(60))),
        created(&table.revoked, admin, None),
        KeyRevoked { key_id: table.revoked.hash().key_id(), reason: Some("lost".to_owned()) }.into(),
        created(&keys.acme, admin, None),
        created(&keys.hasty, &[Scope::Read], None),
    ];
    let of_initech = vec![
        created(&table.suspended, admin, None),
        ProjectSuspended { reason: Some("unpaid".to_owned()) }.into(),
    ];
    for (project, events) in [
        (ACME, of_acme),
        (GLOBEX, vec![created(&keys.globex, &all_but_admin, None)]),
        (INITECH, of_initech),
        (UPLOADS, vec![created(&keys.uploads, admin, None)]),
        (COMMANDS, vec![created(&keys.commands, admin, None)]),
        (FEEDS, vec![created(&keys.feeds, admin, None)]),
    ] {
        let founded = ProjectCreated { name: Some(format!("The project {project}")) }.into();
        let id = CommitId::derived_from(&["found", project]);
        let commit = NewCommit::new(id, at(0), [founded].into_iter().chain(events));
        let stream = StreamId::Project(project.parse().unwrap());
        log.append(&stream, Expected::Exactly(0), commit).await.unwrap();
    }
}

fn created(key: &ApiKey, scopes: &[Scope], expires_at: Option<Timestamp>) -> EventBody {
    let hash = key.hash();
    KeyCreated { key_id: hash.key_id(), key_hash: hash, scopes: scopes.to_vec(), label: None, expires_at }
        .into()
}
