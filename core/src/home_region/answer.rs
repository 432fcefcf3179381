//! Calls as they come over the wire.

use streamio_events::error_chain::chain;
use streamio_events::home::{HomeAnswer, HomeCall, HomeError, HomeReply, MAX_ANSWER_BYTES};
use streamio_events::timestamp::Timestamp;

use super::{Cause, HomeRegion, HomeRegionError, Recorded};

impl HomeRegion {
    /// Answers the call in `body`: the HTTP status and the JSON of a [`HomeReply`].
    pub async fn answer(&self, body: &[u8], now: Timestamp) -> (u16, String) {
        let mut call: HomeCall = match serde_json::from_slice(body) {
            Ok(call) => call,
            Err(error) => return refused(format!("the body is no call that this build knows: {error}")),
        };
        if let Err(reason) = call.check_page() {
            return refused(reason);
        }
        loop {
            let (status, json) = match self.done(&call, now).await {
                Ok(answer) => (200, HomeReply::Ok(answer).to_json()),
                Err(error) => failed(&call, &error),
            };
            if json.len() <= MAX_ANSWER_BYTES {
                return (status, json);
            }
            if !halve(&mut call) {
                let too_large = Cause::TooLarge { bytes: json.len(), most: MAX_ANSWER_BYTES };
                return failed(&call, &HomeRegionError::Unavailable(too_large));
            }
        }
    }

    async fn done(&self, call: &HomeCall, now: Timestamp) -> Result<HomeAnswer, HomeRegionError> {
        match call {
            HomeCall::Tenant { key } => self.tenant(key).await.map(HomeAnswer::Tenant),
            HomeCall::Video { project_id, video_id } => {
                self.video(project_id, video_id).await.map(HomeAnswer::Video)
            }
            HomeCall::VideoAsOf { project_id, video_id, at } => {
                self.video_as_of(project_id, video_id, *at).await.map(HomeAnswer::Video)
            }
            HomeCall::ListVideos { project_id, state, after, limit } => {
                let page = self.list_videos(project_id, *state, after.as_deref(), usize::from(*limit)).await;
                page.map(HomeAnswer::Videos)
            }
            HomeCall::VideoEvents { project_id, video_id, after, limit } => {
                let page =
                    self.video_events(project_id, video_id, after.as_deref(), usize::from(*limit)).await;
                page.map(HomeAnswer::VideoEvents)
            }
            HomeCall::Feed { project_id, after, limit } => {
                let page = self.feed(project_id, after.as_deref(), usize::from(*limit), now).await;
                page.map(HomeAnswer::Feed)
            }
            HomeCall::DeleteVideo { project_id, video_id, commit_id } => {
                self.delete_video(project_id, video_id, commit_id, now).await.map(HomeAnswer::Command)
            }
            HomeCall::ReprocessVideo { project_id, video_id, commit_id } => {
                self.reprocess_video(project_id, video_id, commit_id, now).await.map(HomeAnswer::Command)
            }
            HomeCall::Record { fact } => {
                let recorded = self.record(fact.stream(), fact.commit(), now).await?;
                Ok(HomeAnswer::Recorded(match recorded {
                    Recorded::New => None,
                    Recorded::Repeated(event) => Some(event),
                }))
            }
            HomeCall::Recall { stream, commit_id } => {
                self.recall(stream, commit_id).await.map(HomeAnswer::Recalled)
            }
        }
    }
}

fn refused(text: String) -> (u16, String) {
    (400, HomeReply::Error(HomeError::Refused { text }).to_json())
}

fn failed(call: &HomeCall, error: &HomeRegionError) -> (u16, String) {
    if let HomeRegionError::Unavailable(cause) = error {
        tracing::error!(call.name = call.name(), error = chain(cause), "a call to the home region failed");
    }
    let error = error.to_wire();
    (if error == HomeError::Unavailable { 503 } else { 200 }, HomeReply::Error(error).to_json())
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
