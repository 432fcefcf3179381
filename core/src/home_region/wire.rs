//! Serves calls in JSON: returns the HTTP status and the JSON of the reply.

use streamio_events::error_chain::chain;
use streamio_events::home::{
    AuditCall, Home, HomeCall, HomeError, HomeReply, HomeResult, MAX_REPLY_BYTES, ReplyError, VideoFilter,
    WebhookCall,
};

/// A result that does not fit into a reply and cannot be split into pages.
#[derive(Debug, thiserror::Error)]
#[error("the reply has {bytes} bytes, more than {MAX_REPLY_BYTES}")]
struct TooLarge {
    bytes: usize,
}

/// Executes the call in `body` and returns the HTTP status and the JSON of a [`HomeReply`].
///
/// A page that is larger than [`MAX_REPLY_BYTES`] is requested again with half as many items: its cursor leads to the rest.
/// Failures are logged here with their causes; the reply does not contain them.
pub async fn handle_call(home: &dyn Home, body: &[u8]) -> (u16, String) {
    let mut call: HomeCall = match serde_json::from_slice(body) {
        Ok(call) => call,
        Err(error) => return refused(format!("the body is no call that this build knows: {error}")),
    };
    if let Err(reason) = call.check_page() {
        return refused(reason);
    }
    loop {
        let (status, json) = match dispatch(home, &call).await {
            Ok(result) => (200, HomeReply::Ok(result).to_json()),
            Err(error) => failed(&call, &error),
        };
        if json.len() <= MAX_REPLY_BYTES {
            return (status, json);
        }
        if !halve_limit(&mut call) {
            let source = TooLarge { bytes: json.len() };
            return failed(&call, &HomeError::Failed { source: source.into() });
        }
    }
}

async fn dispatch(home: &dyn Home, call: &HomeCall) -> Result<HomeResult, HomeError> {
    match call {
        HomeCall::Tenant { key } => home.tenant(key).await.map(HomeResult::Tenant),
        HomeCall::Video { project_id, video_id } => {
            home.video(project_id, video_id).await.map(HomeResult::Video)
        }
        HomeCall::VideoAsOf { project_id, video_id, at } => {
            home.video_as_of(project_id, video_id, *at).await.map(HomeResult::Video)
        }
        HomeCall::ListVideos { project_id, state, prefix, metadata, after, limit } => {
            let filter = VideoFilter { state: *state, prefix: prefix.clone(), metadata: metadata.clone() };
            let page = home.list_videos(project_id, &filter, after.as_deref(), usize::from(*limit)).await;
            page.map(HomeResult::Videos)
        }
        HomeCall::VideoEvents { project_id, video_id, after, limit } => {
            let page = home.video_events(project_id, video_id, after.as_deref(), usize::from(*limit)).await;
            page.map(HomeResult::VideoEvents)
        }
        HomeCall::Feed { project_id, after, limit } => {
            let page = home.feed(project_id, after.as_deref(), usize::from(*limit)).await;
            page.map(HomeResult::Feed)
        }
        HomeCall::Usage { project_id, first, last } => {
            home.usage(project_id, *first, *last).await.map(HomeResult::Usage)
        }
        HomeCall::DeleteVideo { project_id, video_id, commit_id } => {
            home.delete_video(project_id, video_id, commit_id).await.map(HomeResult::Command)
        }
        HomeCall::UpdateVideo { project_id, video_id, commit_id, metadata } => {
            home.update_video(project_id, video_id, commit_id, metadata).await.map(HomeResult::Command)
        }
        HomeCall::ReprocessVideo { project_id, video_id, commit_id } => {
            home.reprocess_video(project_id, video_id, commit_id).await.map(HomeResult::Command)
        }
        HomeCall::Webhooks { project_id, request } => {
            home.webhooks(project_id, request).await.map(HomeResult::Webhooks)
        }
        HomeCall::Audit { project_id, request } => {
            home.audit(project_id, request).await.map(HomeResult::Audit)
        }
        HomeCall::Record { fact } => {
            let recorded = home.record(fact.stream(), fact.commit().clone()).await?;
            Ok(HomeResult::Recorded(recorded.into()))
        }
        HomeCall::Recall { stream, commit_id } => {
            home.recall(stream, commit_id).await.map(HomeResult::Recalled)
        }
    }
}

fn refused(text: String) -> (u16, String) {
    (400, HomeReply::Error(ReplyError::Refused { text }).to_json())
}

fn failed(call: &HomeCall, error: &HomeError) -> (u16, String) {
    let status = match error {
        HomeError::Unavailable { .. } | HomeError::Failed { .. } => {
            tracing::error!(
                call.name = call.name(),
                error = chain(error),
                "a call to the home region failed"
            );
            503
        }
        HomeError::InvalidCursor
        | HomeError::NotFound
        | HomeError::Conflict { .. }
        | HomeError::KeyReused
        | HomeError::Invalid { .. } => 200,
    };
    (status, HomeReply::Error(error.to_reply()).to_json())
}

/// Halves the limit of a call. Returns `false` if it has none or it is 1.
fn halve_limit(call: &mut HomeCall) -> bool {
    match call {
        HomeCall::ListVideos { limit, .. }
        | HomeCall::VideoEvents { limit, .. }
        | HomeCall::Feed { limit, .. }
        | HomeCall::Webhooks { request: WebhookCall::ListDeliveries { limit, .. }, .. }
        | HomeCall::Audit { request: AuditCall::VideoProof { limit, .. }, .. }
            if *limit > 1 =>
        {
            *limit /= 2;
            true
        }
        _ => false,
    }
}
