//! Decisions about a tenant's commands, and what a deletion removes.

use super::history::{History, job, key};
use crate::media::VideoError;
use crate::object_key::ProcessedKey;
use crate::video::Phase;
use crate::video::decide::{self, Refusal, delete, ready, reprocess};

#[test]
fn a_tenant_may_reprocess_an_ended_video_and_delete_any_video() {
    let refused = |history: History| match reprocess(&history.video()) {
        Err(Refusal::Conflict(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reprocess(&History::nothing().video()), Err(Refusal::NotFound));
    assert_eq!(delete(&History::nothing().video()), Err(Refusal::NotFound));
    assert!(refused(History::started()).contains("being processed"));
    assert!(refused(History::nothing().granted("1")).contains("no source"));
    let ended = History::started().completed_by("one").and(|video| ready(video, &job(video)).ok());
    let again = ended.and(|video| reprocess(video).ok());
    let video = again.video();
    assert_eq!(
        (video.generation, video.attempt, video.outputs.is_some()),
        (2, 0, true),
        "the previous outputs can still be played"
    );
    let deleted = again.and(|video| delete(video).unwrap());
    assert_eq!(delete(&deleted.video()), Ok(None));
    assert!(refused(deleted).contains("deleted"));
}

#[test]
fn a_second_deletion_still_records_the_object_to_remove() {
    let again = History::uploaded().and(|video| delete(video).unwrap()).granted("2");
    let again = again.and(|video| delete(video).unwrap()).video();
    let deletion = again.deleted.unwrap();
    assert_eq!((deletion.etag.as_str(), deletion.generation), ("e", 1));
}

fn deleted_keys(history: &History) -> Vec<ProcessedKey> {
    history.video().unused_stable_keys()
}

#[test]
fn a_deletion_continues_until_newer_content_exists() {
    let ready = History::started().completed_by("one").and(|video| ready(video, &job(video)).ok());
    assert!(ready.video().deletion_of_source().is_none() && deleted_keys(&ready).is_empty());
    let deleted = ready.and(|video| delete(video).unwrap());
    assert!(deleted.video().deletion_of_source().is_some() && deleted_keys(&deleted).len() == 3);
    let granted = deleted.granted("2");
    assert!(granted.video().deletion_of_source().is_none(), "the same bytes may be uploaded at any time");
    let again = granted.upload("02");
    assert!(again.video().deletion_of_source().is_none() && deleted_keys(&again).len() == 3);
    let errored =
        again.dispatched().started_by("two").failed_by("two", &VideoError::permanent("corrupt", ""));
    let errored = errored.dispatched();
    assert!(matches!(errored.video().phase, Phase::Errored { .. }));
    assert_eq!(deleted_keys(&errored).len(), 3, "deleted content must not be served");
    let published =
        errored.and(|video| reprocess(video).ok()).dispatched().started_by("three").completed_by("three");
    assert_eq!(deleted_keys(&published), [], "a worker may have written the new files");
    let published = published.and(|video| decide::ready(video, &job(video)).ok());
    assert_eq!(deleted_keys(&published), [key().processed().poster()], "audio has no poster");
    assert_eq!(published.video().deleted.unwrap().generation, 1);
}
