//! The columns of the rows that follow from the log, and writing them.

use std::collections::BTreeMap;

use rusqlite::{Connection, named_params, params};
use streamio_core::ports::view_store::{Urgency, VideoRow};
use streamio_events::log::Part;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Delivery;
use streamio_events::webhook::replay::Replays;

use super::deliveries::scheduled_at;
use super::integer;

/// The row of a video, and its metadata.
#[derive(Debug)]
pub(crate) struct VideoColumns {
    project_id: String,
    video_id: String,
    version: i64,
    state: Option<&'static str>,
    s3_key: Option<String>,
    created_at: i64,
    due_at: Option<i64>,
    urgency: i64,
    slot: u32,
    row: String,
    metadata: BTreeMap<String, String>,
}

impl VideoColumns {
    /// The columns of `row`.
    pub(crate) fn of(row: &VideoRow) -> serde_json::Result<Self> {
        let (video, status) = (&row.video, row.status.as_ref());
        Ok(Self {
            project_id: video.project_id.to_string(),
            video_id: video.video_id.to_string(),
            version: integer(video.version),
            state: status.map(|status| status.state.as_str()),
            s3_key: status.map(|status| status.s3_key.to_string()),
            created_at: video.created_at.unix_millis(),
            due_at: row.due_at.map(Timestamp::unix_millis),
            urgency: Urgency::of(video) as i64,
            slot: Part::slot(&video.stream()),
            row: serde_json::to_string(row)?,
            metadata: status.map(|status| status.metadata.clone()).unwrap_or_default(),
        })
    }

    /// Writes the row if there is none or one with a lower version. Returns whether it was written.
    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let Self { project_id, video_id, created_at, .. } = self;
        let upsert = "
            INSERT INTO videos VALUES (:project, :video, :version, :state, :key, :created, :due, :urgency, :slot, :row)
            ON CONFLICT DO UPDATE SET version = excluded.version, state = excluded.state,
                s3_key = excluded.s3_key, created_at = excluded.created_at, due_at = excluded.due_at,
                urgency = excluded.urgency, row = excluded.row
            WHERE excluded.version > videos.version";
        let changed = connection.prepare_cached(upsert)?.execute(named_params! {
            ":project": project_id, ":video": video_id, ":version": self.version, ":state": self.state,
            ":key": self.s3_key, ":created": created_at, ":due": self.due_at,
            ":urgency": self.urgency, ":slot": self.slot, ":row": self.row,
        })?;
        if changed == 0 {
            return Ok(false);
        }
        let delete = "DELETE FROM video_metadata WHERE project_id = ?1 AND video_id = ?2";
        connection.prepare_cached(delete)?.execute([project_id, video_id])?;
        let insert = "INSERT INTO video_metadata VALUES (?1, ?2, ?3, ?4, ?5)";
        for (name, value) in &self.metadata {
            connection
                .prepare_cached(insert)?
                .execute(params![project_id, name, value, created_at, video_id])?;
        }
        Ok(true)
    }
}

/// The row of a webhook delivery.
#[derive(Debug)]
pub(crate) struct DeliveryColumns {
    project_id: String,
    webhook_id: String,
    message_id: String,
    version: i64,
    state: &'static str,
    message_type: Option<&'static str>,
    video_id: Option<String>,
    scheduled_at: i64,
    due_at: Option<i64>,
    row: String,
}

impl DeliveryColumns {
    /// The columns of `delivery`.
    pub(crate) fn of(delivery: &Delivery) -> serde_json::Result<Self> {
        let scheduled = delivery.scheduled.as_ref();
        Ok(Self {
            project_id: delivery.project_id.to_string(),
            webhook_id: delivery.webhook_id.to_string(),
            message_id: delivery.message_id.to_string(),
            version: integer(delivery.version),
            state: delivery.state.as_str(),
            message_type: scheduled.map(|it| it.message_type.as_str()),
            video_id: scheduled.and_then(|it| it.video_id.as_ref()).map(ToString::to_string),
            scheduled_at: scheduled_at(delivery),
            due_at: delivery.due_at.map(Timestamp::unix_millis),
            row: serde_json::to_string(delivery)?,
        })
    }

    /// The video that it is about, if it is about one.
    pub(crate) fn video_id(&self) -> Option<&str> {
        self.video_id.as_deref()
    }

    /// Whether it is due at some time.
    pub(crate) fn is_due(&self) -> bool {
        self.due_at.is_some()
    }

    /// Makes it due at no time, as [`DeliveryStore::remove_due`](streamio_core::ports::delivery_store::DeliveryStore::remove_due) does.
    pub(crate) fn remove_due(&mut self) {
        self.due_at = None;
    }

    /// Writes the row if there is none or one with a lower version. Returns whether it was written.
    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let upsert = "
            INSERT INTO deliveries VALUES (:project, :webhook, :message, :version, :state, :type, :video, :at, :due, :row)
            ON CONFLICT DO UPDATE SET version = excluded.version, state = excluded.state,
                message_type = excluded.message_type, video_id = excluded.video_id,
                scheduled_at = excluded.scheduled_at, due_at = excluded.due_at, row = excluded.row
            WHERE excluded.version > deliveries.version";
        let changed = connection.prepare_cached(upsert)?.execute(named_params! {
            ":project": self.project_id, ":webhook": self.webhook_id, ":message": self.message_id,
            ":version": self.version, ":state": self.state, ":type": self.message_type, ":video": self.video_id,
            ":at": self.scheduled_at, ":due": self.due_at, ":row": self.row,
        })?;
        Ok(changed > 0)
    }
}

/// The row of the jobs that send messages to an endpoint again.
#[derive(Debug)]
pub(crate) struct ReplaysColumns {
    project_id: String,
    webhook_id: String,
    version: i64,
    active: bool,
}

impl ReplaysColumns {
    /// The columns of `replays`.
    pub(crate) fn of(replays: &Replays) -> Self {
        Self {
            project_id: replays.project_id.to_string(),
            webhook_id: replays.webhook_id.to_string(),
            version: integer(replays.version),
            active: replays.active().is_some(),
        }
    }

    /// Writes the row if there is none or one with a lower version.
    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let upsert = "INSERT INTO replays VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET version = excluded.version, active = excluded.active
            WHERE excluded.version > replays.version";
        let Self { project_id, webhook_id, version, active } = self;
        connection.prepare_cached(upsert)?.execute(params![project_id, webhook_id, version, active]).map(drop)
    }
}

/// The row that states whether messages are sent to an endpoint.
#[derive(Debug)]
pub(crate) struct ReceivingColumns {
    pub(crate) project_id: String,
    pub(crate) webhook_id: String,
    /// The version of the project's endpoints of which this is known.
    pub(crate) version: i64,
    pub(crate) is_receiving: bool,
}

impl ReceivingColumns {
    /// Writes the row if there is none or one with a lower version.
    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let upsert = "INSERT INTO receiving_endpoints VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET version = excluded.version, is_receiving = excluded.is_receiving
            WHERE excluded.version > receiving_endpoints.version";
        let Self { project_id, webhook_id, version, is_receiving } = self;
        let parameters = params![webhook_id, project_id, version, is_receiving];
        connection.prepare_cached(upsert)?.execute(parameters).map(drop)
    }
}
