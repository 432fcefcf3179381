//! Decisions about attempts and their workers.

use std::time::Duration;

use proptest::prelude::*;

use super::history::{History, job, key, outputs, policy, retryable, source};
use crate::event::{EventBody, ProcessingInterrupted, ProcessingProgressed, VideoErrored};
use crate::job::Job;
use crate::media::{Outputs, VideoError};
use crate::video::Phase;
use crate::video::decide::{
    Fence, Interruption, Start, Step, WorkerEnd, complete, delete, due_at, fail, interrupt, ready, start,
    worker_ended,
};

#[test]
fn an_older_attempt_cannot_start_complete_fail_interrupt_or_publish() {
    let first = History::started();
    let old = job(&first.video());
    let second = first.failed_by("one", &retryable()).dispatched().started_by("two").completed_by("two");
    let video = second.video();
    let not_current = Fence::NotCurrent { generation: 1, attempt: 2 };
    assert_eq!(start(&video, &old, "one"), Start::Stop(not_current.clone()));
    assert_eq!(complete(&video, &old, "one", source(), outputs()), Err(not_current.clone()));
    assert_eq!(fail(&video, &old, "one", retryable()), Err(not_current.clone()));
    assert_eq!(interrupt(&video, &old, "one", stopped()), Err(not_current.clone()));
    assert_eq!(ready(&video, &old), Err(not_current));
    assert_eq!(worker_ended(&video, &old, "one", WorkerEnd::Crashed("9".to_owned())), None);
    assert!(ready(&video, &job(&video)).is_ok());
}

#[test]
fn a_second_worker_of_the_same_attempt_stops_and_the_first_may_start_again() {
    let video = History::started().video();
    assert_eq!(start(&video, &job(&video), "two"), Start::Stop(Fence::HeldByOther("one".to_owned())));
    assert!(matches!(start(&video, &job(&video), "one"), Start::Run(_)));
    assert_eq!(fail(&video, &job(&video), "two", retryable()), Err(Fence::HeldByOther("one".to_owned())));
    assert_eq!(worker_ended(&video, &job(&video), "two", WorkerEnd::Interrupted(stopped())), None);
}

#[test]
fn any_worker_of_a_completed_attempt_may_publish_it_once() {
    let completed = History::started().completed_by("one");
    let video = completed.video();
    assert_eq!(start(&video, &job(&video), "three"), Start::Publish);
    let published = completed.and(|video| ready(video, &job(video)).ok());
    let video = published.video();
    assert_eq!((video.phase.clone(), video.published), (Phase::Ready, Some((1, 1))));
    assert_eq!(ready(&video, &job(&video)), Err(Fence::Ended));
    assert_eq!(start(&video, &job(&video), "four"), Start::Stop(Fence::Ended));
    assert_eq!(published.step(), published.check_of_used_urls());
}

#[test]
fn an_attempt_of_a_replaced_or_deleted_video_is_fenced_off() {
    let replaced = History::started().upload("02");
    let old = Job { generation: 1, attempt: 1, ..History::started().video().job.unwrap() };
    let fence = Fence::NotCurrent { generation: 2, attempt: 0 };
    assert_eq!(complete(&replaced.video(), &old, "one", source(), outputs()), Err(fence));
    let deleted = History::started().and(|video| delete(video).unwrap()).unused_removed();
    assert_eq!(complete(&deleted.video(), &old, "one", source(), outputs()), Err(Fence::Ended));
    assert_eq!(deleted.step(), deleted.check_of_used_urls());
}

#[test]
fn progress_of_an_older_attempt_is_ignored_and_is_no_heartbeat() {
    let second = History::started().failed_by("one", &retryable()).dispatched().started_by("two");
    let late = ProcessingProgressed { generation: 1, attempt: 1, percent: 90 };
    let video = second.fact(late).video();
    assert_eq!(video.progress, 0);
    let own = ProcessingProgressed { generation: 1, attempt: 2, percent: 40 };
    let less = ProcessingProgressed { generation: 1, attempt: 2, percent: 30 };
    let second =
        History::started().failed_by("one", &retryable()).dispatched().started_by("two").fact(own).fact(less);
    assert_eq!(second.video().progress, 40, "progress never decreases");
}

#[test]
fn a_permanent_error_ends_the_video_and_a_retryable_one_the_third_time() {
    let permanent = VideoError::permanent("not_media", "no");
    let ended = History::started().failed_by("one", &permanent);
    assert_eq!(ended.appended(), VideoErrored { generation: 1, error: permanent }.into());
    let mut history = History::started().failed_by("one", &retryable());
    assert!(matches!(history.step(), Step::Wait(_)));
    for _ in 0..2 {
        history = history.dispatched().started_by("more").failed_by("more", &retryable());
    }
    assert_eq!(history.appended(), VideoErrored { generation: 1, error: retryable() }.into());
}

#[test]
fn interruptions_are_no_failures_however_many_there_are() {
    let mut history = History::uploaded();
    for attempt in 1..=50 {
        history = history.dispatched().started_by("spot");
        assert_eq!(history.video().attempt, attempt);
        let interruption = if attempt % 2 == 0 { unable() } else { stopped() };
        history = history.and(|video| interrupt(video, &job(video), "spot", interruption.clone()).ok());
        assert_eq!(history.video().failures, 0);
    }
    let Step::Wait(until) = history.step() else { panic!("{:?}", history.step()) };
    assert!(until <= history.now.plus(policy().longest_retry_pause * 2), "an outage may end at any time");
}

#[test]
fn the_first_fault_of_the_platform_is_retried_immediately_and_further_ones_after_growing_pauses() {
    let interrupted = |history: History| {
        history
            .dispatched()
            .started_by("one")
            .and(|video| interrupt(video, &job(video), "one", unable()).ok())
    };
    let mut history = interrupted(History::uploaded());
    assert!(matches!(history.appended(), EventBody::ProcessingDispatched(_)));
    let mut longest = Duration::ZERO;
    for _ in 2..=4 {
        history = interrupted(history);
        let Step::Wait(until) = history.step() else { panic!("{:?}", history.step()) };
        assert_eq!(due_at(&history.video(), &policy()), Some(until));
        let pause = until.since(history.now);
        assert!(pause > longest, "{pause:?} after {longest:?}");
        longest = pause;
    }
}

/// The pause before the attempt that follows; `None` if it follows at once.
fn pause(history: &History) -> Option<Duration> {
    match history.step() {
        Step::Append(_) => None,
        Step::Wait(until) => Some(until.since(history.now)),
        other => panic!("{other:?}"),
    }
}

fn attempt_ended(history: History, end: &WorkerEnd) -> History {
    history.dispatched().started_by("one").and(|video| worker_ended(video, &job(video), "one", end.clone()))
}

proptest! {
    /// The pauses are those of a history with the same faults and without the stops, except for their jitter of a fifth.
    #[test]
    fn a_worker_that_was_stopped_is_followed_at_once_and_lengthens_no_pause(
        ends in prop::collection::vec(prop_oneof![2 => Just(true), 1 => Just(false)], 1..12),
    ) {
        let (mut history, mut faults) = (History::uploaded(), History::uploaded());
        for is_stop in ends {
            if is_stop {
                history = attempt_ended(history, &WorkerEnd::Interrupted(stopped()));
                prop_assert_eq!(pause(&history), None);
                continue;
            }
            history = attempt_ended(history, &WorkerEnd::Interrupted(unable()));
            faults = attempt_ended(faults, &WorkerEnd::Interrupted(unable()));
            match (pause(&history), pause(&faults)) {
                (Some(one), Some(other)) => prop_assert!(one <= other * 3 / 2 && other <= one * 3 / 2),
                (one, other) => prop_assert_eq!(one, other),
            }
        }
        prop_assert_eq!(history.video().failures, 0);
    }
}

/// Earlier releases did not state whether a worker was stopped.
#[test]
fn interruptions_of_earlier_releases_are_followed_after_the_same_pauses_as_before() {
    let mut history = History::uploaded();
    for attempt in 1..=3 {
        let interrupted = serde_json::json!({
            "generation": 1, "attempt": attempt, "reason": "the platform was restarted"
        });
        let interrupted: ProcessingInterrupted = serde_json::from_value(interrupted).unwrap();
        history = history.dispatched().started_by("one").fact(interrupted);
        assert_eq!(pause(&history).is_some(), attempt > 1, "{attempt}");
    }
}

#[test]
fn only_a_silent_worker_counts_as_a_failure_and_not_a_missing_start_or_publication() {
    let mut waiting = History::uploaded().dispatched();
    assert!(matches!(waiting.step(), Step::Launch(_)));
    waiting.now = waiting.now.plus(policy().start_within);
    assert!(matches!(waiting.appended(), EventBody::ProcessingInterrupted(_)));
    let mut started = History::started();
    assert_eq!(started.step(), Step::Wait(started.now.plus(policy().heartbeat_timeout)));
    started.now = started.now.plus(policy().heartbeat_timeout);
    assert!(matches!(started.appended(), EventBody::ProcessingExpired(_)));
    let mut unpublished = History::started().completed_by("one");
    unpublished.now = unpublished.now.plus(policy().publish_within);
    assert!(matches!(unpublished.step(), Step::Launch(_)));
    unpublished.now = unpublished.now.plus(policy().publish_deadline);
    assert!(matches!(unpublished.appended(), EventBody::ProcessingInterrupted(_)));
}

/// A launcher returns the worker that had a token, for a while even after that worker has ended.
#[test]
fn publishers_have_few_tokens_and_never_the_one_of_the_worker_that_completed() {
    let completed = History::started().completed_by("one");
    let dispatched = completed.video().job.unwrap();
    let mut tokens = Vec::new();
    let started_at = completed.now;
    for minutes in 1..60 {
        let mut later = History::started().completed_by("one");
        later.now = started_at.plus(policy().publish_within * minutes);
        let Step::Launch(job) = later.step() else { panic!("{:?}", later.step()) };
        let unchanged = Job { client_token: dispatched.client_token.clone(), ..job.clone() };
        assert_eq!(unchanged, dispatched, "only the token differs from the recorded job");
        tokens.push(job.client_token);
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 6, "after 1, 2, 4, 8, 16 and 32 minutes: {tokens:?}");
    assert!(!tokens.contains(&dispatched.client_token));
}

/// The publication of the first upload has begun when the second one arrives.
#[test]
fn a_publication_that_a_newer_upload_ended_is_continued_if_that_upload_fails() {
    let completed = History::started().completed_by("one");
    let earlier = job(&completed.video());
    let replaced = completed.upload("02");
    let fence = Fence::NotCurrent { generation: 2, attempt: 0 };
    assert_eq!(ready(&replaced.video(), &earlier), Err(fence), "the newer upload may be published");
    assert!(replaced.video().needs_files_of(1, 1));
    let errored = replaced.dispatched().started_by("two").failed_by("two", &permanent()).dispatched();
    let video = errored.video();
    assert!(matches!(video.phase, Phase::Errored { .. }));
    let Step::Launch(publisher) = errored.step() else { panic!("{:?}", errored.step()) };
    assert_eq!(Job { client_token: earlier.client_token.clone(), ..publisher.clone() }, earlier);
    assert!(due_at(&video, &policy()).is_some(), "a publisher that is lost is followed by another");
    assert_eq!(start(&video, &publisher, "three"), Start::Publish);
    let continued = errored.and(|video| ready(video, &publisher).ok());
    let video = continued.video();
    assert_eq!((video.published, video.outputs.clone()), (Some((1, 1)), Some(outputs())));
    assert!(matches!(video.phase, Phase::Errored { .. }), "the latest upload is errored");
    assert_eq!(continued.step(), continued.check_of_used_urls(), "nothing is left to publish");
    assert_eq!(
        start(&video, &publisher, "four"),
        Start::Stop(Fence::NotCurrent { generation: 2, attempt: 1 })
    );
}

#[test]
fn a_publication_is_not_continued_after_a_later_one_or_a_deletion() {
    let replaced = || History::started().completed_by("one").upload("02").dispatched().started_by("two");
    let later = replaced().completed_by("two").and(|video| ready(video, &job(video)).ok());
    assert_eq!((later.video().published, later.video().unpublished), (Some((2, 1)), None));
    assert!(!later.video().needs_files_of(1, 1));
    let deleted = replaced().and(|video| delete(video).unwrap());
    assert_eq!(deleted.video().unpublished, None);
    assert_eq!(deleted.video().unused_stable_keys().len(), 3);
}

/// Of a video that sound replaces, the poster is left.
#[test]
fn the_poster_of_an_earlier_upload_is_unused_once_the_later_one_is_published_without_one() {
    let poster = key().processed().poster();
    let pictures = Outputs { poster_key: Some(poster.clone()), ..outputs() };
    let ready = |history: History| history.and(|video| ready(video, &job(video)).ok());
    let complete_with = |history: History, outputs: &Outputs| {
        history.and(|video| complete(video, &job(video), "one", source(), outputs.clone()).ok())
    };
    let first = ready(complete_with(History::started(), &pictures));
    assert_eq!(first.video().unused_stable_keys(), []);
    let second = complete_with(first.upload("02").dispatched().started_by("one"), &outputs());
    assert_eq!(second.video().unused_stable_keys(), [], "it is still being published");
    let second = ready(second);
    assert_eq!(second.video().unused_stable_keys(), std::slice::from_ref(&poster));
    let third = ready(complete_with(second.upload("03").dispatched().started_by("one"), &pictures));
    assert_eq!(third.video().unused_stable_keys(), []);
    // A publication that never ended may have written its poster.
    let begun = complete_with(History::started(), &pictures);
    let replaced = ready(complete_with(begun.upload("02").dispatched().started_by("one"), &outputs()));
    assert_eq!(replaced.video().unused_stable_keys(), [poster]);
    let sound = ready(complete_with(History::started(), &outputs()));
    assert_eq!(sound.video().unused_stable_keys(), [], "nothing is removed of which the log knows nothing");
}

/// It was not published in time, and the attempts that follow fail.
#[test]
fn a_publication_that_took_too_long_is_continued_if_the_next_attempts_fail() {
    let completed = History::started().completed_by("one");
    let interrupted = completed.wait(policy().publish_deadline).dispatched();
    assert!(matches!(interrupted.video().phase, Phase::Interrupted { .. }));
    let second = interrupted.dispatched().started_by("two").failed_by("two", &permanent()).dispatched();
    assert!(matches!(second.video().phase, Phase::Errored { .. }));
    let Step::Launch(publisher) = second.step() else { panic!("{:?}", second.step()) };
    assert_eq!((publisher.generation, publisher.attempt), (1, 1));
    let continued = second.and(|video| ready(video, &publisher).ok()).video();
    assert_eq!((continued.phase, continued.published), (Phase::Ready, Some((1, 1))));
}

fn stopped() -> Interruption {
    Interruption::Stopped("the platform was restarted".to_owned())
}

fn unable() -> Interruption {
    Interruption::Unable("storage was not available".to_owned())
}

fn permanent() -> VideoError {
    VideoError::permanent("corrupt", "cut")
}
