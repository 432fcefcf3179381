//! `POST /playback-url?key=…`: a signed URL of one file on the CDN, or of an adaptive stream with all its files; and
//! `POST /videos/{id}/playback`: the signed URLs of all that can be played of a video.

mod lengths;
mod request;
mod response;
mod target;
mod terms;
mod video;

pub(super) use video::grant as grant_video;

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use streamio_events::event::{PlaybackGranted, RecordedEvent};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use self::request::PlaybackRequest;
use super::Exchange;
use super::grant::{Grant, read, replayed};
use crate::problem::Problem;
use crate::public_url::public_url;
use crate::reply;
use crate::request::Query;

pub(super) async fn grant(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    let now = exchange.context.now;
    let bounds = exchange.services.config.playback;
    let project_id = &exchange.tenant.project_id;
    let request = PlaybackRequest::read(query, exchange.fields()?, project_id, bounds, now)?;
    let grant = Grant::new(exchange, "playback", &request)?;
    let granted = PlaybackGranted {
        grant_id: grant.id.clone(),
        resource: request.target.resource(),
        key: request.key.clone(),
        also: Vec::new(),
        expires_at: request.terms.expires_at(now, exchange.services.config.cdn.expiry_bucket),
        starts_at: request.terms.starts_at,
        ip: request.terms.ip.clone(),
        key_id: exchange.tenant.key_id.clone(),
    };
    let public_url = public_url(exchange.services, exchange.uri, exchange.headers)?;
    if let Some(event) = recall(exchange, &grant, &[Duration::from_hours(1)]).await? {
        return respond_again(exchange, &public_url, &event).await;
    }
    if !lengths::fit(exchange.services, &granted, &request.target).map_err(Problem::internal)? {
        return Err(Problem::parameter("key", lengths::ADVICE));
    }
    let event = RecordedEvent::of(now, &granted);
    let stream = stream_at(exchange, &grant, now);
    match grant.record(exchange, &stream, event, granted.expires_at).await? {
        None => respond(exchange, &public_url, &granted).await,
        Some(first) => respond_again(exchange, &public_url, &first).await,
    }
}

/// The record of a request that is repeated, in the streams of these times ago. That of a request that was first sent before the end of
/// an hour is in a stream of that hour.
async fn recall(
    exchange: &Exchange<'_>,
    grant: &Grant,
    ago: &[Duration],
) -> Result<Option<RecordedEvent>, Problem> {
    let streams: Vec<StreamId> =
        ago.iter().map(|ago| stream_at(exchange, grant, earlier(exchange.context.now, *ago))).collect();
    grant.recall(&*exchange.services.ports.journal, &streams.iter().collect::<Vec<_>>()).await
}

/// The stream of `grant`, made at `at`. A grant that may be recalled has a stream of its own, so that finding it takes one read
/// whatever else the project grants. A journal without a memory recalls nothing, and its grants share commits.
fn stream_at(exchange: &Exchange<'_>, grant: &Grant, at: Timestamp) -> StreamId {
    let project_id = exchange.tenant.project_id.clone();
    if grant.may_be_repeated && exchange.services.ports.journal.has_memory() {
        StreamId::keyed_grant(project_id, at, grant.commit.clone())
    } else {
        StreamId::grants(project_id, at, &grant.commit)
    }
}

/// The response for a grant that was recorded before.
async fn respond_again(
    exchange: &Exchange<'_>,
    public_url: &str,
    event: &RecordedEvent,
) -> Result<Response<Bytes>, Problem> {
    replayed(respond(exchange, public_url, &read(event)?).await)
}

/// The response, which depends on the grant's record and the CDN's key only.
async fn respond(
    exchange: &Exchange<'_>,
    public_url: &str,
    granted: &PlaybackGranted,
) -> Result<Response<Bytes>, Problem> {
    reply::json(StatusCode::OK, &response::body(exchange.services, public_url, granted).await?)
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_unix_millis(
        now.unix_millis().saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
    )
}
