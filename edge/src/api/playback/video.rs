//! `POST /videos/{id}/playback`: the signed URLs of all that can be played of a video, in one call.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use streamio_events::event::{PlaybackGranted, RecordedEvent};
use streamio_events::id::{GrantId, VideoId};
use streamio_events::media::Outputs;
use streamio_events::object_key::ProcessedKey;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{VideoState, VideoStatus};

use super::response::{Stream, sign};
use super::target::Target;
use super::terms::Terms;
use super::{lengths, recall, stream_at};
use crate::api::grant::{Grant, read, replayed, unreadable};
use crate::api::{Exchange, home_problem};
use crate::problem::{Problem, ProblemKind};
use crate::public_url::public_url;
use crate::reply;
use crate::request::Query;

/// A validated request. Two requests are the same if they serialize alike.
#[derive(Serialize)]
struct VideoPlaybackRequest {
    video_id: VideoId,
    #[serde(flatten)]
    terms: Terms,
}

/// The response body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    video_id: &'a VideoId,
    expires_at: Timestamp,
    grant_id: &'a GrantId,
    #[serde(flatten)]
    stream: Option<Stream>,
    mp4_url: String,
    /// Absent for audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    poster_url: Option<String>,
}

pub(in crate::api) async fn grant(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let (now, config) = (exchange.context.now, &exchange.services.config);
    let mut fields = exchange.fields()?;
    let terms = Terms::take(&mut fields, config.playback, now);
    fields.finish()?;
    let request = VideoPlaybackRequest { video_id: exchange.video_id()?, terms };
    let grant = Grant::new(exchange, "video playback", &request)?;
    let public_url = public_url(exchange.services, exchange.uri, exchange.headers)?;
    // Before the video is read: the first answer holds whatever has become of it.
    if let Some(event) = recall(exchange, &grant, &[Duration::ZERO, Duration::from_hours(1)]).await? {
        return respond_again(exchange, &public_url, &request.video_id, &event).await;
    }
    let outputs = outputs(exchange, &request.video_id).await?;
    let terms = request.terms;
    let target = Target::Stream(outputs.mp4_key.clone());
    let granted = PlaybackGranted {
        grant_id: grant.id.clone(),
        resource: target.resource(),
        key: outputs.hls_key,
        also: [outputs.mp4_key].into_iter().chain(outputs.poster_key).collect(),
        expires_at: terms.expires_at(now, config.cdn.expiry_bucket),
        starts_at: terms.starts_at,
        ip: terms.ip,
        key_id: exchange.tenant.key_id.clone(),
    };
    if !lengths::fit(exchange.services, &granted, &target).map_err(Problem::internal)? {
        let detail = format!("The video's key {}.", lengths::ADVICE);
        return Err(Problem::new(ProblemKind::VideoConflict, detail));
    }
    let stream = stream_at(exchange, &grant, now);
    match grant.record(exchange, &stream, RecordedEvent::of(now, &granted), granted.expires_at).await? {
        None => respond(exchange, &public_url, &request.video_id, &granted).await,
        Some(first) => respond_again(exchange, &public_url, &request.video_id, &first).await,
    }
}

/// What can be played of the video. The home region's answer may be cached for as long as
/// [`HomeConfig::statuses_for`](crate::home::HomeConfig::statuses_for).
async fn outputs(exchange: &Exchange<'_>, id: &VideoId) -> Result<Outputs, Problem> {
    let status = exchange.services.ports.home.video(&exchange.tenant.project_id, id).await;
    let status = status.map_err(home_problem::of_read)?.ok_or_else(home_problem::no_such_video)?;
    let reason = not_playable(&status);
    status.outputs.ok_or_else(|| Problem::new(ProblemKind::VideoConflict, reason))
}

/// Why nothing of the video can be played, and what to do.
fn not_playable(status: &VideoStatus) -> String {
    match (status.state, &status.error) {
        (VideoState::Waiting, _) => "The video has not been uploaded yet.".to_owned(),
        (VideoState::Expired, _) => {
            "Nothing was uploaded before the upload URL expired; request a new one.".to_owned()
        }
        (VideoState::Deleted, _) => "The video is deleted; upload it again.".to_owned(),
        (VideoState::Errored, Some(error)) => {
            format!("There is nothing to play ({}): {}", error.code, error.message)
        }
        (state, _) => {
            format!("The video cannot be played yet: it is `{}`; wait until it is `ready`.", state.as_str())
        }
    }
}

async fn respond_again(
    exchange: &Exchange<'_>,
    public_url: &str,
    id: &VideoId,
    event: &RecordedEvent,
) -> Result<Response<Bytes>, Problem> {
    replayed(respond(exchange, public_url, id, &read(event)?).await)
}

/// The response, which depends on the grant's record and the CDN's key only.
async fn respond(
    exchange: &Exchange<'_>,
    public_url: &str,
    id: &VideoId,
    granted: &PlaybackGranted,
) -> Result<Response<Bytes>, Problem> {
    let services = exchange.services;
    let foreign = || unreadable("the record of a playback grant names another project or no stream");
    let target = Target::recorded(&granted.key, &granted.resource).ok_or_else(foreign)?;
    if granted.also.iter().any(|key| key.project_id() != granted.key.project_id()) {
        return Err(foreign());
    }
    let (_, stream) = sign(services, public_url, granted, &target).await?;
    let file =
        async |key: &ProcessedKey| sign(services, public_url, granted, &Target::File(key.clone())).await;
    let mut also = granted.also.iter();
    let (mp4_url, _) = file(also.next().ok_or_else(foreign)?).await?;
    let poster_url = match also.next() {
        Some(key) => Some(file(key).await?.0),
        None => None,
    };
    let (expires_at, grant_id) = (granted.expires_at, &granted.grant_id);
    reply::json(StatusCode::OK, &Body { video_id: id, expires_at, grant_id, stream, mp4_url, poster_url })
}
