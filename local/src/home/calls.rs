//! Calls, answered from the ports that a native edge has at hand.

use std::error::Error;
use std::sync::Arc;

use http::StatusCode;
use streamio_edge::commands::{CommandError, Commands};
use streamio_edge::directory::{Directory, Tenant, Tolerance};
use streamio_edge::journal::{Journal, Recorded};
use streamio_edge::views::{Page, VideoFilter, ViewError, Views};
use streamio_events::home::{HomeAnswer, HomeCall, HomeError, HomePage, HomeReply, MAX_ANSWER_BYTES};
use streamio_events::sqlite::SqliteLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;

use crate::edge_ports::{LogCommands, LogDirectory, LogJournal, LogViews};
use crate::view_store::SqliteViewStore;

/// What calls are answered from.
pub(crate) struct HomePorts {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) views: Arc<dyn Views>,
    pub(crate) commands: Arc<dyn Commands>,
    pub(crate) journal: Arc<dyn Journal>,
}

impl HomePorts {
    /// Ports on the log itself.
    pub(crate) fn on_log(log: &SqliteLog, store: SqliteViewStore, policy: Policy) -> Self {
        Self {
            directory: Arc::new(LogDirectory::new(log.clone())),
            views: Arc::new(LogViews { log: log.clone(), store, policy }),
            commands: Arc::new(LogCommands(log.clone())),
            journal: Arc::new(LogJournal(log.clone())),
        }
    }
}

/// Why a call was not done: what the caller is told, and for the operator what is behind it.
struct Failure {
    error: HomeError,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self { error, cause: None }
    }
}

/// Answers the call in `body`: the status and the JSON of a [`HomeReply`].
pub(super) async fn answer(ports: &HomePorts, body: &[u8], now: Timestamp) -> (StatusCode, String) {
    let refused =
        |text: String| (StatusCode::BAD_REQUEST, HomeReply::Error(HomeError::Refused { text }).to_json());
    let mut call: HomeCall = match serde_json::from_slice(body) {
        Ok(call) => call,
        Err(error) => return refused(format!("the body is no call that this build knows: {error}")),
    };
    if let Err(reason) = call.check_page() {
        return refused(reason);
    }
    loop {
        let (status, json) = match done(ports, &call, now).await {
            Ok(answer) => (StatusCode::OK, HomeReply::Ok(answer).to_json()),
            Err(failure) => failed(&call, failure),
        };
        if json.len() <= MAX_ANSWER_BYTES {
            return (status, json);
        }
        if !halve(&mut call) {
            let too_large = format!("an answer of {} bytes, more than {MAX_ANSWER_BYTES}", json.len());
            return failed(&call, unavailable(too_large));
        }
    }
}

/// Asks for half as many items; `false` where there is nothing to halve.
fn halve(call: &mut HomeCall) -> bool {
    match call {
        HomeCall::ListVideos { limit, .. }
        | HomeCall::VideoEvents { limit, .. }
        | HomeCall::Feed { limit, .. }
            if *limit > 1 =>
        {
            *limit /= 2;
            true
        }
        _ => false,
    }
}

async fn done(ports: &HomePorts, call: &HomeCall, now: Timestamp) -> Result<HomeAnswer, Failure> {
    let HomePorts { directory, views, commands, journal } = ports;
    match call {
        HomeCall::Tenant { key } => {
            let known = directory.lookup(key, now, Tolerance::Strict).await.map_err(unavailable)?;
            Ok(HomeAnswer::Tenant(known.map(|known| Tenant::clone(&known.tenant))))
        }
        HomeCall::Video { project_id, video_id } => {
            views.video(project_id, video_id).await.map(HomeAnswer::Video).map_err(not_viewed)
        }
        HomeCall::VideoAsOf { project_id, video_id, at } => {
            views.video_as_of(project_id, video_id, *at).await.map(HomeAnswer::Video).map_err(not_viewed)
        }
        HomeCall::ListVideos { project_id, state, after, limit } => {
            let filter = VideoFilter { state: *state };
            let page = views.list(project_id, &filter, after.as_deref(), usize::from(*limit)).await;
            page.map(|page| HomeAnswer::Videos(paged(page))).map_err(not_viewed)
        }
        HomeCall::VideoEvents { project_id, video_id, after, limit } => {
            let page = views.video_events(project_id, video_id, after.as_deref(), usize::from(*limit)).await;
            page.map(|page| HomeAnswer::VideoEvents(page.map(paged))).map_err(not_viewed)
        }
        HomeCall::Feed { project_id, after, limit } => {
            let page = views.feed(project_id, after.as_deref(), usize::from(*limit)).await;
            page.map(|page| HomeAnswer::Feed(paged(page))).map_err(not_viewed)
        }
        HomeCall::DeleteVideo { project_id, video_id, commit_id } => {
            let status = commands.delete(project_id, video_id, commit_id).await;
            status.map(HomeAnswer::Command).map_err(not_commanded)
        }
        HomeCall::ReprocessVideo { project_id, video_id, commit_id } => {
            let status = commands.reprocess(project_id, video_id, commit_id).await;
            status.map(HomeAnswer::Command).map_err(not_commanded)
        }
        HomeCall::Record { fact } => {
            let recorded = journal.record(fact.stream(), fact.commit().clone()).await.map_err(unavailable)?;
            Ok(HomeAnswer::Recorded(match recorded {
                Recorded::New => None,
                Recorded::Repeated(event) => Some(event),
            }))
        }
        HomeCall::Recall { stream, commit_id } => {
            journal.recall(stream, commit_id).await.map(HomeAnswer::Recalled).map_err(unavailable)
        }
    }
}

fn failed(call: &HomeCall, Failure { error, cause }: Failure) -> (StatusCode, String) {
    if let Some(cause) = cause {
        let chain: Vec<String> = anyhow::Chain::new(&*cause).map(ToString::to_string).collect();
        tracing::error!(call.name = call.name(), error = ?chain, "a call to the home region failed");
    }
    let status =
        if error == HomeError::Unavailable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, HomeReply::Error(error).to_json())
}

fn paged<T>(Page { data, next }: Page<T>) -> HomePage<T> {
    HomePage { data, next }
}

fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure { error: HomeError::Unavailable, cause: Some(cause.into()) }
}

fn not_viewed(error: ViewError) -> Failure {
    match error {
        ViewError::InvalidCursor => HomeError::InvalidCursor.into(),
        ViewError::Unavailable(_) => unavailable(error),
    }
}

fn not_commanded(error: CommandError) -> Failure {
    match error {
        CommandError::NotFound => HomeError::NotFound.into(),
        CommandError::Conflict(text) => HomeError::Conflict { text }.into(),
        CommandError::Unavailable(_) => unavailable(error),
    }
}
