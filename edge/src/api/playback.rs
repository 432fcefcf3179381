//! `POST /playback-url?key=…`: a signed URL of one file on the CDN, or of an adaptive stream with all its files.

mod request;
mod response;
mod target;

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use streamio_events::event::{PlaybackGranted, RecordedEvent};
use streamio_events::id::GrantId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use self::request::PlaybackRequest;
use super::Exchange;
use super::grant::{Grant, read};
use crate::problem::Problem;
use crate::public_url::public_url;
use crate::reply;
use crate::request::Query;

/// The streams among which an hour's grants of a project are distributed.
const SHARDS: u8 = 16;

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
        expires_at: request.expires_at(now, exchange.services.config.cdn.expiry_bucket),
        starts_at: request.starts_at,
        ip: request.ip.clone(),
        key_id: exchange.tenant.key_id.clone(),
    };
    let journal = &*exchange.services.ports.journal;
    let stream_at = |at| StreamId::grants(project_id.clone(), at, shard(&grant.id));
    let stream = stream_at(now);

    // A request that is repeated after the end of the hour finds its record in the stream of the previous hour.
    let an_hour_ago = stream_at(earlier(now, Duration::from_hours(1)));
    if let Some(event) = grant.recall(journal, &[&an_hour_ago]).await? {
        return respond_again(exchange, &event).await;
    }
    let event = RecordedEvent::of(now, &granted);
    match grant.record(exchange, &stream, event).await? {
        None => respond(exchange, &granted).await,
        Some(first) => respond_again(exchange, &first).await,
    }
}

/// The response for a grant that was recorded before.
async fn respond_again(exchange: &Exchange<'_>, event: &RecordedEvent) -> Result<Response<Bytes>, Problem> {
    respond(exchange, &read(event)?).await
}

/// The response, which depends on the grant's record and the CDN's key only.
async fn respond(exchange: &Exchange<'_>, granted: &PlaybackGranted) -> Result<Response<Bytes>, Problem> {
    let public_url = public_url(exchange.services, exchange.uri, exchange.headers)?;
    reply::json(StatusCode::OK, &response::body(exchange.services, &public_url, granted).await?)
}

/// The grant's stream of the hour: the same one for the same grant.
fn shard(id: &GrantId) -> u8 {
    let sum = id.as_str().bytes().fold(0u8, u8::wrapping_add);
    sum % SHARDS
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_unix_millis(
        now.unix_millis().saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_distributed_among_all_streams_of_an_hour() {
        let mut counts = [0u32; SHARDS as usize];
        for number in 0u32..1600 {
            counts[usize::from(shard(&GrantId::derived_from(&[&number.to_be_bytes()])))] += 1;
        }
        assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
    }
}
