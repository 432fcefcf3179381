//! Changes of a video's metadata.

use std::time::Duration;

use super::history::{History, grant};
use crate::event::{EventBody, RecordedEvent, UploadGranted, VideoUpdated};
use crate::metadata::MetadataPatch;
use crate::video::decide::{Refusal, delete, update};

fn patch(entries: &[(&str, Option<&str>)]) -> MetadataPatch {
    entries.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
}

#[test]
fn a_change_is_an_event_unless_it_changes_nothing_and_deleted_videos_keep_their_metadata() {
    let title = patch(&[("title", Some("Summer")), ("other", None)]);
    assert_eq!(update(&History::nothing().video(), &title), Err(Refusal::NotFound));
    let updated = History::uploaded().and(|video| update(video, &title).unwrap());
    assert_eq!(updated.video().metadata, [("title".to_owned(), "Summer".to_owned())].into());
    let recorded = updated.commits.last().unwrap().events[0].body().unwrap();
    assert_eq!(recorded, EventBody::from(VideoUpdated { metadata: title.clone() }));
    assert_eq!(update(&updated.video(), &title), Ok(None));
    for all in [patch(&[("title", None)]), MetadataPatch::RemoveAll] {
        let removed = update(&updated.video(), &all).unwrap().expect("a change");
        assert_eq!(removed.events, [VideoUpdated { metadata: all }.into()]);
    }
    let removed = updated.and(|video| update(video, &MetadataPatch::RemoveAll).unwrap());
    assert!(removed.video().metadata.is_empty());
    assert_eq!(update(&removed.video(), &MetadataPatch::RemoveAll), Ok(None), "there is nothing to remove");
    let deleted = removed.and(|video| delete(video).unwrap());
    assert!(matches!(update(&deleted.video(), &title), Err(Refusal::Conflict(_))));
}

#[test]
fn a_video_has_at_most_32_entries() {
    let names: Vec<String> = (0..32).map(|number| format!("k{number}")).collect();
    let all: MetadataPatch = names.iter().map(|name| (name.clone(), Some("v".to_owned()))).collect();
    let full = History::uploaded().and(|video| update(video, &all).unwrap());
    let one_more = patch(&[("one-more", Some("v"))]);
    assert!(matches!(update(&full.video(), &one_more), Err(Refusal::Conflict(text)) if text.contains("33")));
    let exchanged = patch(&[("one-more", Some("v")), ("k0", None)]);
    assert!(update(&full.video(), &exchanged).unwrap().is_some());
}

/// A grant is recorded through a queue, and may arrive after a change that was made later.
#[test]
fn a_grant_from_before_a_change_does_not_replace_the_metadata() {
    let titled = |title: &str| UploadGranted {
        metadata: [("title".to_owned(), title.to_owned())].into(),
        ..grant(title, super::history::at())
    };
    let updated =
        History::uploaded().and(|video| update(video, &patch(&[("title", Some("changed"))])).unwrap());
    let title_after = |at, title: &str| {
        let mut video = updated.video();
        let event = RecordedEvent::new(at, &titled(title).into());
        video.apply(video.version + 1, &event).unwrap();
        video.metadata["title"].clone()
    };
    let before = super::history::at();
    assert_eq!(title_after(before, "older"), "changed");
    assert_eq!(title_after(updated.now.plus(Duration::from_secs(1)), "newer"), "newer");
}
