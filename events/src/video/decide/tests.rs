//! Given a history, when something is asked, then this is decided.

use super::*;
use crate::commit::{Commit, Head, NewCommit};
use crate::event::{ProcessingProgressed, UploadGranted};
use crate::id::{GrantId, KeyId, VideoId};
use crate::object_key::ProcessedKey;

/// A history that is written down step by step, one second apart.
struct Given {
    commits: Vec<Commit>,
    now: Timestamp,
}

fn key() -> SourceKey {
    "projects/acme/clip.mp4".parse().unwrap()
}

fn policy() -> Policy {
    Policy::new("raw", "processed")
}

fn source() -> MediaSource {
    MediaSource {
        duration_seconds: 1.0,
        width: None,
        height: None,
        rotation: 0,
        frame_rate: None,
        video_codec: None,
        audio_codec: Some("aac".to_owned()),
        bytes: 1,
    }
}

fn outputs() -> Outputs {
    let processed = key().processed();
    Outputs { hls_key: processed.hls_master(), poster_key: None, mp4_key: processed, renditions: vec![] }
}

impl Given {
    fn nothing() -> Self {
        Self { commits: vec![], now: at() }
    }

    fn uploaded() -> Self {
        Self::nothing().and(|video| object_created(video, object("01")))
    }

    /// The first attempt, taken by the worker `one`.
    fn started() -> Self {
        Self::uploaded().dispatched().taken_by("one")
    }

    fn video(&self) -> Video {
        Video::fold("acme".parse().unwrap(), VideoId::of(&key()), &self.commits).unwrap()
    }

    fn and(self, decide: impl Fn(&Video) -> Option<Decision>) -> Self {
        let decision = decide(&self.video()).expect("the history goes on");
        self.then_all(decision)
    }

    fn then_all(mut self, decision: Decision) -> Self {
        self.now = self.now.plus(Duration::from_secs(1));
        let head = self.commits.last().map_or(Head::EMPTY, Commit::head);
        let new = NewCommit::new(decision.commit_id, self.now, decision.events);
        self.commits.push(Commit::following(self.video().stream(), head, new));
        self
    }

    /// A minute's grant, given now.
    fn granted(self, id: &str) -> Self {
        let granted = grant(id, self.now.plus(Duration::from_mins(1)));
        self.fact(granted)
    }

    /// Until all grants are over.
    fn grants_over(mut self) -> Self {
        self.now = self.now.plus(Duration::from_mins(1)).plus(policy().grant_grace);
        self
    }

    fn found(self, etag: &str) -> Self {
        self.and(|video| object_found(video, stored(etag), None))
    }

    fn fact(self, event: impl Into<EventBody>) -> Self {
        let event = event.into();
        let commit_id = CommitId::derived_from(&["fact", &self.commits.len().to_string()]);
        self.then_all(Decision { commit_id, events: vec![event] })
    }

    fn dispatched(self) -> Self {
        let later = self.now.plus(Duration::from_hours(1));
        self.and(|video| match next_step(video, later, &policy()) {
            Step::Append(decision) => Some(decision),
            other => panic!("{other:?}"),
        })
    }

    fn taken_by(self, task: &str) -> Self {
        self.and(|video| match start(video, &job(video), task) {
            Start::Run(decision) => Some(decision),
            other => panic!("{other:?}"),
        })
    }

    fn completed_by(self, task: &str) -> Self {
        self.and(|video| complete(video, &job(video), task, source(), outputs()).ok())
    }

    fn failed_by(self, task: &str, error: &VideoError) -> Self {
        self.and(|video| fail(video, &job(video), task, error.clone()).ok())
    }

    fn step(&self) -> Step {
        next_step(&self.video(), self.now, &policy())
    }

    fn appended(&self) -> EventBody {
        match self.step() {
            Step::Append(decision) => decision.events.into_iter().next().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

fn job(video: &Video) -> Job {
    video.job.clone().unwrap()
}

/// Before all that happens.
fn at() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

fn object(sequencer: &str) -> ObjectCreated {
    ObjectCreated {
        s3_key: key(),
        bytes: 1,
        etag: "e".to_owned(),
        sequencer: sequencer.to_owned(),
        created_at: at(),
    }
}

fn stored(etag: &str) -> ObjectFound {
    ObjectFound { s3_key: key(), bytes: 7, etag: etag.to_owned(), created_at: at() }
}

fn notice_of(etag: &str, sequencer: &str) -> ObjectCreated {
    ObjectCreated { etag: etag.to_owned(), ..object(sequencer) }
}

fn grant(id: &str, expires_at: Timestamp) -> UploadGranted {
    UploadGranted {
        grant_id: GrantId::derived_from(&[id.as_bytes()]),
        s3_key: key(),
        expires_at,
        key_id: KeyId::of_hash(&[0; 32]),
        content_type: None,
        size: None,
        sha256: None,
        overwrite: true,
        multipart: false,
        metadata: std::collections::BTreeMap::new(),
    }
}

fn passing() -> VideoError {
    VideoError::retryable("storage_unavailable", "no answer")
}

#[test]
fn an_older_attempt_can_neither_take_complete_fail_interrupt_nor_publish() {
    let first = Given::started();
    let old = job(&first.video());
    let second = first.failed_by("one", &passing()).dispatched().taken_by("two").completed_by("two");
    let video = second.video();
    let not_current = Fence::NotCurrent { generation: 1, attempt: 2 };
    assert_eq!(start(&video, &old, "one"), Start::Stop(not_current.clone()));
    assert_eq!(complete(&video, &old, "one", source(), outputs()), Err(not_current.clone()));
    assert_eq!(fail(&video, &old, "one", passing()), Err(not_current.clone()));
    assert_eq!(interrupt(&video, &old, "one", "spot"), Err(not_current.clone()));
    assert_eq!(ready(&video, &old), Err(not_current));
    assert_eq!(worker_ended(&video, &old, "one", WorkerEnd::Crashed("9".to_owned())), None);
    assert!(ready(&video, &job(&video)).is_ok());
}

#[test]
fn a_second_worker_of_the_same_attempt_stops_and_the_first_may_say_that_it_started_again() {
    let video = Given::started().video();
    assert_eq!(start(&video, &job(&video), "two"), Start::Stop(Fence::Taken("one".to_owned())));
    assert!(matches!(start(&video, &job(&video), "one"), Start::Run(_)));
    assert_eq!(fail(&video, &job(&video), "two", passing()), Err(Fence::Taken("one".to_owned())));
    assert_eq!(worker_ended(&video, &job(&video), "two", WorkerEnd::Stopped("x".to_owned())), None);
}

#[test]
fn whoever_comes_to_a_completed_attempt_publishes_it_once() {
    let completed = Given::started().completed_by("one");
    let video = completed.video();
    assert_eq!(start(&video, &job(&video), "three"), Start::Publish);
    let published = completed.and(|video| ready(video, &job(video)).ok());
    let video = published.video();
    assert_eq!((video.phase.clone(), video.published), (Phase::Ready, Some((1, 1))));
    assert_eq!(ready(&video, &job(&video)), Err(Fence::Over));
    assert_eq!(start(&video, &job(&video), "four"), Start::Stop(Fence::Over));
    assert_eq!(published.step(), Step::Rest);
}

#[test]
fn an_attempt_of_a_replaced_or_deleted_video_is_fenced_off() {
    let replaced = Given::started().and(|video| object_created(video, object("02")));
    let old = Job { generation: 1, attempt: 1, ..Given::started().video().job.unwrap() };
    let fence = Fence::NotCurrent { generation: 2, attempt: 0 };
    assert_eq!(complete(&replaced.video(), &old, "one", source(), outputs()), Err(fence));
    let deleted = Given::started().and(|video| delete(video).unwrap());
    assert_eq!(complete(&deleted.video(), &old, "one", source(), outputs()), Err(Fence::Over));
    assert_eq!(deleted.step(), Step::Rest);
}

#[test]
fn progress_of_an_older_attempt_is_neither_seen_nor_a_sign_of_life() {
    let second = Given::started().failed_by("one", &passing()).dispatched().taken_by("two");
    let late = ProcessingProgressed { generation: 1, attempt: 1, percent: 90 };
    let video = second.fact(late).video();
    assert_eq!(video.progress, 0);
    let own = ProcessingProgressed { generation: 1, attempt: 2, percent: 40 };
    let less = ProcessingProgressed { generation: 1, attempt: 2, percent: 30 };
    let second =
        Given::started().failed_by("one", &passing()).dispatched().taken_by("two").fact(own).fact(less);
    assert_eq!(second.video().progress, 40, "progress does not go back");
}

#[test]
fn a_permanent_error_ends_the_video_and_a_passing_one_the_third_time() {
    let permanent = VideoError::permanent("not_media", "no");
    let ended = Given::started().failed_by("one", &permanent);
    assert_eq!(ended.appended(), VideoErrored { generation: 1, error: permanent }.into());
    let mut given = Given::started().failed_by("one", &passing());
    assert!(matches!(given.step(), Step::Wait(_)));
    for _ in 0..2 {
        given = given.dispatched().taken_by("more").failed_by("more", &passing());
    }
    assert_eq!(given.appended(), VideoErrored { generation: 1, error: passing() }.into());
}

#[test]
fn interruptions_are_no_failures_and_yet_not_endless() {
    let mut given = Given::uploaded();
    for attempt in 1..=20 {
        given = given.dispatched().taken_by("spot");
        assert_eq!(given.video().attempt, attempt);
        given = given.and(|video| interrupt(video, &job(video), "spot", "reclaimed").ok());
        assert_eq!(given.video().failures, 0);
    }
    assert!(
        matches!(given.appended(), EventBody::VideoErrored(it) if it.error.code == "interrupted_too_often")
    );
}

#[test]
fn the_first_interruption_is_made_up_for_at_once_and_more_of_them_after_growing_pauses() {
    let interrupted = |given: Given| {
        given
            .dispatched()
            .taken_by("spot")
            .and(|video| interrupt(video, &job(video), "spot", "reclaimed").ok())
    };
    let mut given = interrupted(Given::uploaded());
    assert!(matches!(given.appended(), EventBody::ProcessingDispatched(_)));
    let mut longest = Duration::ZERO;
    for _ in 2..=4 {
        given = interrupted(given);
        let Step::Wait(until) = given.step() else { panic!("{:?}", given.step()) };
        assert_eq!(due_at(&given.video(), &policy()), Some(until));
        let pause = until.since(given.now);
        assert!(pause > longest, "{pause:?} after {longest:?}");
        longest = pause;
    }
}

#[test]
fn a_worker_that_nobody_started_or_that_fell_silent_is_given_up() {
    let mut waiting = Given::uploaded().dispatched();
    assert!(matches!(waiting.step(), Step::Launch(_)));
    waiting.now = waiting.now.plus(policy().start_within);
    assert!(matches!(waiting.appended(), EventBody::ProcessingExpired(_)));
    let mut silent = Given::started();
    assert_eq!(silent.step(), Step::Wait(silent.now.plus(policy().silence)));
    silent.now = silent.now.plus(policy().silence);
    assert!(matches!(silent.appended(), EventBody::ProcessingExpired(_)));
    let mut unpublished = Given::started().completed_by("one");
    unpublished.now = unpublished.now.plus(policy().publish_within);
    assert!(matches!(unpublished.step(), Step::Launch(_)));
    unpublished.now = unpublished.now.plus(policy().publish_deadline);
    assert!(matches!(unpublished.appended(), EventBody::ProcessingExpired(_)));
}

/// Who runs workers answers a token with the worker that had it, for a while also when that has ended.
#[test]
fn who_is_launched_to_publish_has_another_token_than_who_completed_and_few_have_one() {
    let completed = Given::started().completed_by("one");
    let dispatched = completed.video().job.unwrap();
    let mut tokens = Vec::new();
    let begun = completed.now;
    for minutes in 1..60 {
        let mut later = Given::started().completed_by("one");
        later.now = begun.plus(policy().publish_within * minutes);
        let Step::Launch(job) = later.step() else { panic!("{:?}", later.step()) };
        let unchanged = Job { client_token: dispatched.client_token.clone(), ..job.clone() };
        assert_eq!(unchanged, dispatched, "all but the token is as it was recorded");
        tokens.push(job.client_token);
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 6, "after 1, 2, 4, 8, 16 and 32 minutes: {tokens:?}");
    assert!(!tokens.contains(&dispatched.client_token));
}

#[test]
fn a_tenant_may_process_again_what_is_over_and_delete_whatever_is_there() {
    let refused = |given: Given| match reprocess(&given.video()) {
        Err(Refusal::Conflict(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reprocess(&Given::nothing().video()), Err(Refusal::NotFound));
    assert_eq!(delete(&Given::nothing().video()), Err(Refusal::NotFound));
    assert!(refused(Given::started()).contains("being processed"));
    assert!(refused(Given::nothing().granted("1")).contains("no source"));
    let ended = Given::started().completed_by("one").and(|video| ready(video, &job(video)).ok());
    let again = ended.and(|video| reprocess(video).ok());
    let video = again.video();
    assert_eq!(
        (video.generation, video.attempt, video.outputs.is_some()),
        (2, 0, true),
        "the old one plays on"
    );
    let deleted = again.and(|video| delete(video).unwrap());
    assert_eq!(delete(&deleted.video()), Ok(None));
    assert!(refused(deleted).contains("deleted"));
}

#[test]
fn grants_that_are_over_are_looked_for_before_they_are_given_up() {
    let granted = Given::nothing().granted("1");
    let over_at = granted.video().open_grants.values().max().unwrap().plus(policy().grant_grace);
    assert_eq!(granted.step(), Step::Wait(over_at));
    assert_eq!(due_at(&granted.video(), &policy()), Some(over_at));
    assert_eq!(grants_expired(&granted.video(), granted.now, &policy()), None, "an upload may have begun");
    let over = granted.grants_over();
    assert_eq!(over.step(), Step::Look(key()));
    let now = over.now;
    let expired = over.and(|video| grants_expired(video, now, &policy()));
    assert!(matches!(expired.video().phase, Phase::Errored { error } if error.code == "upload_expired"));
    assert_eq!(expired.step(), Step::Rest);
}

#[test]
fn a_refusal_after_a_deletion_is_told_to_whoever_waits() {
    let waiting = Given::uploaded().and(|video| delete(video).unwrap()).granted("2");
    assert!(matches!(waiting.video().phase, Phase::Waiting));
    let refused = waiting.and(|video| object_rejected(video, notice_of("b", "05"), passing())).video();
    assert!(matches!(refused.phase, Phase::Errored { .. }), "{:?}", refused.phase);
}

#[test]
fn a_second_deletion_still_knows_what_is_to_go() {
    let again = Given::uploaded().and(|video| delete(video).unwrap()).granted("2");
    let again = again.and(|video| delete(video).unwrap()).video();
    let deletion = again.deleted.unwrap();
    assert_eq!((deletion.etag.as_str(), deletion.generation), ("e", 1));
}

fn stale(given: &Given) -> Vec<ProcessedKey> {
    given.video().deleted_stable_keys()
}

#[test]
fn a_deletion_goes_on_until_something_newer_is_there() {
    let ready = Given::started().completed_by("one").and(|video| ready(video, &job(video)).ok());
    assert!(ready.video().deletion_of_source().is_none() && stale(&ready).is_empty());
    let deleted = ready.and(|video| delete(video).unwrap());
    assert!(deleted.video().deletion_of_source().is_some() && stale(&deleted).len() == 3);
    let granted = deleted.granted("2");
    assert!(granted.video().deletion_of_source().is_none(), "the same bytes may come at any moment");
    let again = granted.and(|video| object_created(video, object("02")));
    assert!(again.video().deletion_of_source().is_none() && stale(&again).len() == 3);
    let given_up = again.dispatched().taken_by("two").failed_by("two", &VideoError::permanent("corrupt", ""));
    let given_up = given_up.dispatched();
    assert!(matches!(given_up.video().phase, Phase::Errored { .. }));
    assert_eq!(stale(&given_up).len(), 3, "what was deleted must not play");
    let published =
        given_up.and(|video| reprocess(video).ok()).dispatched().taken_by("three").completed_by("three");
    assert_eq!(stale(&published), [], "a worker may have written them");
    let published = published.and(|video| super::ready(video, &job(video)).ok());
    assert_eq!(stale(&published), [key().processed().poster()], "of sound alone there is none");
    assert_eq!(published.video().deleted.unwrap().generation, 1);
}

#[test]
fn grants_are_over_one_by_one() {
    let mut given = Given::nothing().granted("1").granted("2");
    let expiries: Vec<_> =
        given.video().open_grants.values().map(|expiry| expiry.plus(policy().grant_grace)).collect();
    let (first, second) = (*expiries.iter().min().unwrap(), *expiries.iter().max().unwrap());
    assert_eq!((given.step(), due_at(&given.video(), &policy())), (Step::Wait(first), Some(first)));
    given.now = first;
    assert_eq!(given.step(), Step::Look(key()), "an upload may be lost although another may still come");
    let mut expired = given.and(|video| grants_expired(video, first, &policy()));
    assert_eq!((expired.video().open_grants.len(), expired.video().phase), (1, Phase::Waiting));
    expired.now = first;
    assert_eq!(expired.step(), Step::Wait(second));
}

#[test]
fn the_same_bytes_put_there_again_are_another_upload() {
    let found = Given::nothing().granted("1").grants_over().found("a");
    // Clocks differ by less than it takes to upload the same again; a deletion draws a line of its own.
    let within = ObjectFound { created_at: found.now.plus(Duration::from_secs(30)), ..stored("a") };
    assert_eq!(object_found(&found.video(), within, None), None);
    let mut again = found.and(|video| delete(video).unwrap()).granted("2");
    again.now = again.now.plus(Duration::from_secs(30));
    let video = again.video();
    let (before, now) = (stored("a"), again.now);
    assert_eq!(object_found(&video, before.clone(), None), None, "the one that is to go");
    assert!(object_found(&video, ObjectFound { created_at: now, ..before }, None).is_some());
    let late = notice_of("a", "05");
    assert_eq!(object_created(&video, late.clone()), None);
    let notice = ObjectCreated { created_at: now, ..late };
    assert!(must_look(&video, &notice));
    assert!(object_created(&video, notice).is_some());
}

#[test]
fn an_object_that_is_found_is_an_upload_and_its_late_notice_is_known() {
    let found = Given::nothing().granted("1").grants_over().found("a");
    let video = found.video();
    assert_eq!((video.generation, video.upload.clone().map(|it| it.bytes)), (1, Some(7)));
    assert!(video.open_grants.is_empty());
    assert!(matches!(found.appended(), EventBody::ProcessingDispatched(_)));
    let late = notice_of("a", "05");
    assert!(!must_look(&video, &late), "it is the one that was found");
    assert_eq!(object_created(&video, late.clone()), None);
    assert_eq!(object_rejected(&video, late, passing()), None);
    assert_eq!(object_found(&video, stored("a"), None), None, "found once");
}

#[test]
fn after_an_object_was_found_only_the_bucket_tells_which_notices_are_newer() {
    let video = Given::nothing().granted("1").grants_over().found("b").video();
    assert!(must_look(&video, &notice_of("a", "01")), "it may be what was replaced, or the replacement");
    let newer = Given::nothing().granted("1").grants_over().found("b");
    let newer = newer.and(|video| object_created(video, notice_of("c", "03")));
    let video = newer.video();
    assert_eq!((video.generation, video.sequencer.as_deref()), (2, Some("03")));
    let late = notice_of("b", "02");
    assert!(!must_look(&video, &late));
    assert_eq!(object_created(&video, late), None, "S3's order tells again");
}

#[test]
fn a_lost_upload_over_a_video_that_can_be_played_is_found() {
    let ready = Given::started().completed_by("one").and(|video| ready(video, &job(video)).ok());
    let again = ready.granted("again");
    assert!(matches!(again.step(), Step::Wait(_)));
    assert!(due_at(&again.video(), &policy()).is_some());
    let over = again.grants_over();
    assert_eq!(over.step(), Step::Look(key()));
    assert_eq!(object_found(&over.video(), stored("e"), None), None, "the object that is processed already");
    let found = over.found("new");
    let video = found.video();
    assert_eq!((video.generation, video.sequencer.as_deref()), (2, Some("01")), "the order of before");
    assert_eq!(object_created(&video, object("01")), None);
}

#[test]
fn a_grant_that_was_not_used_again_leaves_the_video_as_it_is() {
    let ready = Given::started().completed_by("one").and(|video| ready(video, &job(video)).ok());
    let over = ready.granted("again").grants_over();
    let now = over.now;
    let expired = over.and(|video| grants_expired(video, now, &policy()));
    assert_eq!(expired.video().phase, Phase::Ready);
    assert_eq!((expired.step(), due_at(&expired.video(), &policy())), (Step::Rest, None));
}

#[test]
fn an_object_that_is_found_and_refused_is_refused_once() {
    let error = VideoError::permanent("too_large", "large");
    let refused = Given::nothing().granted("1").grants_over();
    let refused = refused.and(|video| object_found(video, stored("a"), Some(error.clone())));
    let video = refused.video();
    assert!(matches!(&video.phase, Phase::Errored { error } if error.code == "too_large"));
    assert_eq!(object_created(&video, notice_of("a", "05")), None);
    assert_eq!(object_found(&video, stored("a"), None), None);
    assert_eq!(refused.step(), Step::Rest);
}

#[test]
fn work_at_hand_comes_before_a_look() {
    let mut started = Given::started().granted("again");
    started.now = started.now.plus(policy().silence);
    assert!(matches!(started.grants_over().appended(), EventBody::ProcessingExpired(_)));
    let dispatched = Given::uploaded().dispatched().granted("again").grants_over();
    assert!(matches!(dispatched.step(), Step::Launch(_)));
}
