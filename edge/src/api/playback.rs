//! `POST /playback-url?key=…`: a signed URL of one file on the CDN, or of an adaptive stream with all its files.

mod answer;
mod request;
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
use crate::reply;
use crate::request::Query;

/// An hour's grants of a project lie in this many streams.
const SHARDS: u8 = 16;

pub(super) async fn grant(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    let now = exchange.context.now;
    let bounds = exchange.edge.config.playback;
    let project_id = &exchange.tenant.project_id;
    let request = PlaybackRequest::read(query, exchange.fields()?, project_id, bounds, now)?;
    let grant = Grant::new(exchange, "playback", &request)?;
    let granted = PlaybackGranted {
        grant_id: grant.id.clone(),
        resource: request.target.resource(),
        key: request.key.clone(),
        expires_at: request.expires_at(now, exchange.edge.config.cdn.expiry_bucket),
        starts_at: request.starts_at,
        ip: request.ip.clone(),
        key_id: exchange.tenant.key_id.clone(),
    };
    let journal = &*exchange.edge.ports.journal;
    let stream_at = |at| StreamId::grants(project_id.clone(), at, shard(&grant.id));
    let stream = stream_at(now);

    // A request that is repeated after the hour's end finds its record in the stream of the hour before.
    let an_hour_ago = stream_at(earlier(now, Duration::from_hours(1)));
    if let Some(event) = grant.recall(journal, &[&an_hour_ago]).await? {
        return answered(exchange, &event).await;
    }
    let event = RecordedEvent::of(now, &granted);
    match grant.record(journal, &stream, event).await? {
        None => answer(exchange, &granted).await,
        Some(event) => answered(exchange, &event).await,
    }
}

/// The answer of the request that this record is of.
async fn answered(exchange: &Exchange<'_>, event: &RecordedEvent) -> Result<Response<Bytes>, Problem> {
    answer(exchange, &read(event)?).await
}

/// The answer, which follows from the grant's record and the CDN's key, and nothing else.
async fn answer(exchange: &Exchange<'_>, granted: &PlaybackGranted) -> Result<Response<Bytes>, Problem> {
    reply::json(StatusCode::OK, &answer::body(exchange.edge, granted).await?)
}

/// Which of the hour's streams takes the grant: the same one for the same grant.
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
    fn grants_spread_over_all_streams_of_an_hour() {
        let mut counts = [0u32; SHARDS as usize];
        for number in 0u32..1600 {
            counts[usize::from(shard(&GrantId::derived_from(&[&number.to_be_bytes()])))] += 1;
        }
        assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
    }
}
