//! `POST /upload-url`: a URL, or one per part, with which a client uploads one file directly to the object store.

mod limits;
mod multipart;
mod parts;
mod request;
mod response;
mod unique;

use bytes::Bytes;
use http::{Response, StatusCode};
use streamio_events::event::{RecordedEvent, UploadGranted};
use streamio_events::id::VideoId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use self::request::UploadRequest;
use super::Exchange;
use super::grant::{Grant, read, replayed};
use crate::problem::Problem;
use crate::reply;
use crate::request::Query;

pub(super) async fn grant(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let project_id = &exchange.tenant.project_id;
    let mut request = UploadRequest::read(exchange.fields()?, project_id, &exchange.services.config)?;
    limits::check(exchange, request.size)?;
    let grant = Grant::new(exchange, "upload", &request)?;
    if request.unique {
        request.s3_key = unique::key(&request.s3_key, &grant.id).map_err(Problem::internal)?;
    }
    let only_if_new = request.only_if_new;
    let stream = StreamId::Video(project_id.clone(), VideoId::of(&request.s3_key));
    let journal = &*exchange.services.ports.journal;

    if request.multipart
        && let Some(event) = grant.recall(journal, &[&stream]).await?
    {
        return respond_again(exchange, &event, only_if_new);
    }
    let upload_id = match (&request.upload_id, request.multipart) {
        (Some(upload_id), _) => Some(upload_id.clone()),
        (None, true) => Some(created_upload(exchange, &grant, &request).await?),
        (None, false) => None,
    };
    let now = exchange.context.now;
    let granted = UploadGranted {
        grant_id: grant.id.clone(),
        // Signatures have a resolution of seconds.
        expires_at: Timestamp::from_unix_seconds(now.unix_seconds() + i64::from(request.expires_in)),
        key_id: exchange.tenant.key_id.clone(),
        s3_key: request.s3_key,
        content_type: request.content_type,
        size: request.size,
        sha256: request.sha256,
        overwrite: request.overwrite,
        multipart: request.multipart,
        upload_id,
        metadata: request.metadata,
    };
    let event = RecordedEvent::of(now, &granted);
    let Some(first) = grant.record(exchange, &stream, event, granted.expires_at).await? else {
        return respond(exchange, &granted, only_if_new, now);
    };
    if let Some(created) = granted.upload_id.as_deref().filter(|_| request.upload_id.is_none()) {
        multipart::abort_if_surplus(exchange, created, &read(&first)?).await;
    }
    respond_again(exchange, &first, only_if_new)
}

/// The multipart upload that is created for the grant. A repeated request continues that of the first one, where this process answered
/// it: a second one would stay in the bucket until its lifecycle rule removes it.
async fn created_upload(
    exchange: &Exchange<'_>,
    grant: &Grant,
    request: &UploadRequest,
) -> Result<String, Problem> {
    let known = &exchange.services.known_keys;
    let is_remembered = grant.may_be_repeated && !exchange.services.ports.journal.has_memory();
    if is_remembered && let Some(upload_id) = known.upload_of(&grant.id) {
        return Ok(upload_id);
    }
    let upload_id = multipart::create(exchange, &grant.id, request).await?;
    if is_remembered {
        known.add_upload(grant.id.clone(), upload_id.clone());
    }
    Ok(upload_id)
}

/// The response for a grant that was recorded before.
fn respond_again(
    exchange: &Exchange<'_>,
    event: &RecordedEvent,
    only_if_new: bool,
) -> Result<Response<Bytes>, Problem> {
    replayed(respond(exchange, &read(event)?, only_if_new, event.at))
}

/// The response. It depends only on the grant's record and on [`UploadRequest::only_if_new`], which all requests of a grant
/// have in common: the same request gets the same bytes.
fn respond(
    exchange: &Exchange<'_>,
    granted: &UploadGranted,
    only_if_new: bool,
    at: Timestamp,
) -> Result<Response<Bytes>, Problem> {
    let raw = &exchange.services.raw;
    let body = match granted.upload_id.as_deref() {
        None => response::single(raw, granted, only_if_new, at),
        Some(upload_id) => response::multipart(raw, granted, only_if_new, upload_id, at),
    };
    reply::json(StatusCode::OK, &body.map_err(Problem::internal)?)
}
