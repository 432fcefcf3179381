//! Reading rows, of which some may be unreadable.

use std::sync::PoisonError;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};
use streamio_core::ports::view_store::{VideoRow, ViewStoreError};
use streamio_events::id::{ProjectId, VideoId};

use super::SqliteViewStore;

/// A row of `project_id, video_id, row`.
type Read = Result<VideoRow, (ProjectId, VideoId)>;

impl SqliteViewStore {
    /// The row of a video; `None` if there is none or it is unreadable.
    pub(super) async fn row(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoRow>, ViewStoreError> {
        let query = "SELECT project_id, video_id, row FROM videos WHERE project_id = ?1 AND video_id = ?2";
        let parameters = [project_id.to_string(), video_id.to_string()];
        let found = self
            .run(move |connection| {
                let found = connection
                    .prepare_cached(query)?
                    .query_row(parameters, |row| Ok(read(row)))
                    .optional()?
                    .flatten();
                if let Some(Err(ids)) = &found {
                    make_replaceable(connection, ids)?;
                }
                Ok(found)
            })
            .await?;
        Ok(found.and_then(|found| self.readable(found)))
    }

    /// The rows of a query of `project_id, video_id, row`; `None` for those that are unreadable.
    pub(super) async fn rows(
        &self,
        query: impl Into<String>,
        parameters: Vec<Value>,
    ) -> Result<Vec<Option<VideoRow>>, ViewStoreError> {
        let query = query.into();
        let found = self
            .run(move |connection| {
                let mut statement = connection.prepare_cached(&query)?;
                let rows = statement.query_map(params_from_iter(parameters), |row| Ok(read(row)))?;
                rows.collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        Ok(found.into_iter().map(|found| found.and_then(|found| self.readable(found))).collect())
    }

    /// Returns the videos whose rows were found unreadable, and forgets them.
    pub(crate) fn take_unreadable(&self) -> Vec<(ProjectId, VideoId)> {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *unreadable).into_iter().collect()
    }

    fn readable(&self, found: Read) -> Option<VideoRow> {
        found
            .inspect_err(|ids| {
                let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                if unreadable.insert(ids.clone()) {
                    tracing::warn!(project.id = %ids.0, video.id = %ids.1, "a view's row is unreadable; it is made again from the log");
                }
            })
            .ok()
    }
}

/// A row, or the ids of an unreadable one; `None` if its ids are unreadable too.
fn read(row: &Row<'_>) -> Option<Read> {
    if let Some(row) = row.get::<_, String>(2).ok().and_then(|text| serde_json::from_str(&text).ok()) {
        return Some(Ok(row));
    }
    let text = |column| row.get::<_, String>(column).ok();
    let ids = text(0).and_then(|id| id.parse().ok()).zip(text(1).and_then(|id| id.parse().ok()));
    ids.map(Err)
}

/// Lets any fold of the stream replace the row.
fn make_replaceable(connection: &Connection, ids: &(ProjectId, VideoId)) -> rusqlite::Result<()> {
    let update = "UPDATE videos SET version = 0 WHERE project_id = ?1 AND video_id = ?2";
    connection.prepare_cached(update)?.execute([ids.0.to_string(), ids.1.to_string()])?;
    Ok(())
}
