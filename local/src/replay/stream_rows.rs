//! Folds one stream into the rows of a view.

use std::ops::ControlFlow;

use streamio_core::ports::view_store::VideoRow;
use streamio_events::commit::{Commit, Head};
use streamio_events::event::{EventData as _, StreamQuarantined, UnreadableEvent};
use streamio_events::log::ReadError;
use streamio_events::sqlite::{StoredCommit, StoredReader, StreamRange};
use streamio_events::stream::StreamId;
use streamio_events::video::{Policy, Video};
use streamio_events::webhook::Delivery;
use streamio_events::webhook::replay::Replays;

use super::endpoints::{EndpointsFold, Receiving};
use crate::feed::is_quarantine;
use crate::view_store::columns::{DeliveryColumns, ReplaysColumns, VideoColumns};

/// The rows that a stream makes.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) videos: Vec<VideoColumns>,
    pub(super) deliveries: Vec<DeliveryColumns>,
    pub(super) receiving: Vec<Receiving>,
    pub(super) replays: Vec<ReplaysColumns>,
}

/// The result of folding a stream.
#[derive(Debug)]
pub(super) struct Folded {
    /// The name of the stream.
    pub(super) stream: String,
    /// Its rows, or why it cannot be read.
    pub(super) rows: Result<Rows, String>,
    /// The version of the last event that was folded.
    pub(super) version: u64,
    /// The version that the live row has at least: a quarantine that was recorded last is not delivered to views.
    pub(super) required: u64,
    /// The number of commits.
    pub(super) commits: u64,
    /// The number of events in these commits.
    pub(super) events: u64,
}

/// Up to where a stream is folded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// The last position.
    pub(super) position: u64,
    /// The last version.
    pub(super) version: u64,
}

impl Limit {
    /// Up to a position.
    pub(super) fn position(position: u64) -> Self {
        Self { position, version: u64::MAX }
    }
}

/// Reads and folds a stream from its beginning.
pub(super) fn fold(
    reader: &StoredReader,
    policy: &Policy,
    stream: &str,
    limit: Limit,
) -> Result<Folded, ReadError> {
    let mut fold = Fold::new(stream);
    reader.streams(&StreamRange::one(stream), limit.position, |commit| {
        match commit {
            Ok(commit) if commit.last > limit.version => return ControlFlow::Break(()),
            Ok(commit) => fold.apply(&commit),
            Err(damaged) => fold.fail(damaged.reason),
        }
        ControlFlow::Continue(())
    })?;
    Ok(fold.finish(policy))
}

/// The state of a stream, folded commit by commit.
pub(super) struct Fold {
    stream: String,
    head: Head,
    required: u64,
    commits: u64,
    events: u64,
    state: State,
    failure: Option<String>,
}

enum State {
    Video(Box<Video>),
    Delivery(Box<Delivery>),
    Endpoints(EndpointsFold),
    Replays(Replays),
    /// A stream that makes no rows.
    Nothing,
}

impl Fold {
    /// The fold of a stream without commits.
    pub(super) fn new(stream: &str) -> Self {
        let (state, failure) = match stream.parse() {
            Ok(StreamId::Video(project_id, video_id)) => {
                (State::Video(Box::new(Video::new(project_id, video_id))), None)
            }
            Ok(StreamId::Delivery(project_id, webhook_id, message_id)) => {
                (State::Delivery(Box::new(Delivery::new(project_id, webhook_id, message_id))), None)
            }
            Ok(StreamId::Webhooks(project_id)) => (State::Endpoints(EndpointsFold::new(project_id)), None),
            Ok(StreamId::Replays(project_id, webhook_id)) => {
                (State::Replays(Replays::new(project_id, webhook_id)), None)
            }
            Ok(_) => (State::Nothing, None),
            Err(error) => (State::Nothing, Some(format!("its name is {error}"))),
        };
        let stream = stream.to_owned();
        Self { stream, head: Head::EMPTY, required: 0, commits: 0, events: 0, state, failure }
    }

    /// The name of the stream.
    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// The endpoints, if these are the events of a project's, and all can be read.
    pub(super) fn endpoints(&self) -> Option<&EndpointsFold> {
        match &self.state {
            State::Endpoints(endpoints) if self.failure.is_none() => Some(endpoints),
            _ => None,
        }
    }

    /// Applies the next commit of the stream.
    pub(super) fn apply(&mut self, stored: &StoredCommit<'_>) {
        self.commits += 1;
        self.events += stored.event_count();
        if self.failure.is_some() {
            return;
        }
        match stored.follow(self.head) {
            Ok(head) => self.head = head,
            Err(damaged) => return self.fail(damaged.reason),
        }
        match self.state.apply(stored) {
            Ok(true) => self.required = stored.last,
            // A quarantine is not delivered to views.
            Ok(false) => {}
            Err(reason) => self.fail(reason),
        }
    }

    /// Notes that a commit cannot be read. What follows it is not folded.
    pub(super) fn fail(&mut self, reason: String) {
        self.failure.get_or_insert(reason);
    }

    /// Returns the rows.
    pub(super) fn finish(self, policy: &Policy) -> Folded {
        let Self { stream, head, required, commits, events, state, failure } = self;
        let rows = match failure {
            None => state.rows(policy).map_err(|error| format!("its row cannot be encoded: {error}")),
            Some(reason) => Err(reason),
        };
        Folded { stream, rows, version: head.version, required, commits, events }
    }
}

impl State {
    /// Applies a commit. Returns whether it is delivered to views.
    fn apply(&mut self, stored: &StoredCommit<'_>) -> Result<bool, String> {
        let unreadable =
            |version: u64, error: UnreadableEvent| format!("{error} at version {version}: {}", error.source);
        if let Self::Video(video) = self {
            let mut is_delivered = false;
            let applied = stored.each_event(|version, event| {
                is_delivered |= event.kind != StreamQuarantined::KIND;
                let body = event.body().map_err(|error| unreadable(version, error))?;
                video.apply_decoded(version, event.at, body);
                Ok(())
            });
            return applied.map_err(|damaged| damaged.reason)?.map(|()| is_delivered);
        }
        let commit = stored.commit().map_err(|damaged| damaged.reason)?;
        let applied = self.apply_commit(&commit);
        applied.map_err(|error| unreadable(commit.first, error))?;
        Ok(!is_quarantine(&commit))
    }

    fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
        match self {
            Self::Video(video) => video.apply_commit(commit),
            Self::Delivery(delivery) => delivery.apply_commit(commit),
            Self::Endpoints(endpoints) => endpoints.apply_commit(commit),
            Self::Replays(replays) => replays.apply_commit(commit),
            Self::Nothing => Ok(()),
        }
    }

    fn rows(self, policy: &Policy) -> serde_json::Result<Rows> {
        let mut rows = Rows::default();
        match self {
            Self::Video(video) if video.version > 0 => {
                rows.videos.push(VideoColumns::of(&VideoRow::of(*video, policy))?);
            }
            Self::Delivery(delivery) if delivery.version > 0 => {
                rows.deliveries.push(DeliveryColumns::of(&delivery)?);
            }
            Self::Endpoints(endpoints) => rows.receiving = endpoints.rows(),
            Self::Replays(replays) if replays.version > 0 => rows.replays.push(ReplaysColumns::of(&replays)),
            _ => {}
        }
        Ok(rows)
    }
}
