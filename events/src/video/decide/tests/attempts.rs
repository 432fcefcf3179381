//! Decisions about attempts and their workers.

use std::time::Duration;

use super::history::{History, job, outputs, policy, retryable, source};
use crate::event::{EventBody, ProcessingProgressed, VideoErrored};
use crate::job::Job;
use crate::media::VideoError;
use crate::video::Phase;
use crate::video::decide::{
    Fence, Start, Step, WorkerEnd, complete, delete, due_at, fail, interrupt, ready, start, worker_ended,
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
    assert_eq!(interrupt(&video, &old, "one", "spot"), Err(not_current.clone()));
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
    assert_eq!(worker_ended(&video, &job(&video), "two", WorkerEnd::Stopped("x".to_owned())), None);
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
    let deleted = History::started().and(|video| delete(video).unwrap());
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
        history = history.and(|video| interrupt(video, &job(video), "spot", "reclaimed").ok());
        assert_eq!(history.video().failures, 0);
    }
    let Step::Wait(until) = history.step() else { panic!("{:?}", history.step()) };
    assert!(until <= history.now.plus(policy().longest_retry_pause * 2), "an outage may end at any time");
}

#[test]
fn the_first_interruption_is_retried_immediately_and_further_ones_after_growing_pauses() {
    let interrupted = |history: History| {
        history
            .dispatched()
            .started_by("spot")
            .and(|video| interrupt(video, &job(video), "spot", "reclaimed").ok())
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
    assert_eq!(deleted.video().deleted_stable_keys().len(), 3);
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

fn permanent() -> VideoError {
    VideoError::permanent("corrupt", "cut")
}
