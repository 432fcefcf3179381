//! `POST /upload-url`: a URL, or one per part, with which a client uploads one file directly to the object store.

mod multipart;
mod parts;
mod request;
mod response;

use bytes::Bytes;
use http::{Response, StatusCode};
use streamio_events::event::{RecordedEvent, UploadGranted};
use streamio_events::id::VideoId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use self::request::UploadRequest;
use super::Exchange;
use super::grant::{Grant, read};
use crate::problem::Problem;
use crate::reply;
use crate::request::Query;

pub(super) async fn grant(exchange: &Exchange<'_>, query: Query) -> Result<Response<Bytes>, Problem> {
    query.finish()?;
    let config = &exchange.services.config;
    let project_id = &exchange.tenant.project_id;
    let request =
        UploadRequest::read(exchange.fields()?, project_id, config.upload, config.multipart_upload)?;
    let grant = Grant::new(exchange, "upload", &request)?;
    let stream = StreamId::Video(project_id.clone(), VideoId::of(&request.s3_key));
    let journal = &*exchange.services.ports.journal;

    if request.multipart
        && let Some(event) = grant.recall(journal, &[&stream]).await?
    {
        return respond_again(exchange, &event);
    }
    let upload_id = match (&request.upload_id, request.multipart) {
        (Some(upload_id), _) => Some(upload_id.clone()),
        (None, true) => Some(multipart::create(exchange, &request).await?),
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
        metadata: request.metadata,
    };
    let mut event = RecordedEvent::of(now, &granted);
    if let Some(upload_id) = &upload_id {
        multipart::set_upload_id(&mut event, upload_id);
    }
    let Some(first) = grant.record(exchange, &stream, event).await? else {
        return respond(exchange, &granted, upload_id.as_deref(), now);
    };
    if let Some(created) = upload_id.as_deref().filter(|_| request.upload_id.is_none()) {
        multipart::abort_if_surplus(exchange, &granted.s3_key, created, &first).await;
    }
    respond_again(exchange, &first)
}

/// The response for a grant that was recorded before.
fn respond_again(exchange: &Exchange<'_>, event: &RecordedEvent) -> Result<Response<Bytes>, Problem> {
    respond(exchange, &read(event)?, multipart::upload_id_of(event), event.at)
}

/// The response, which depends on the grant's record only, so that the same record gives the same bytes.
fn respond(
    exchange: &Exchange<'_>,
    granted: &UploadGranted,
    upload_id: Option<&str>,
    at: Timestamp,
) -> Result<Response<Bytes>, Problem> {
    let body = match upload_id {
        None => response::single(&exchange.services.raw, granted, at),
        Some(upload_id) => response::multipart(&exchange.services.raw, granted, upload_id, at),
    };
    reply::json(StatusCode::OK, &body.map_err(Problem::internal)?)
}
