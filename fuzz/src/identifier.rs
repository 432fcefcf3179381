//! Identifiers, names of streams, times and days.

use std::fmt::Display;
use std::str::FromStr;

use streamio_events::day::Day;
use streamio_events::id::{CommitId, GrantId, KeyId, ProjectId, VideoId};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::text;

/// An accepted identifier is printed unchanged. A time is the instant that another parser reads.
pub fn check(data: &[u8]) {
    let Some(text) = text::of(data) else { return };
    is_unchanged::<ProjectId>(text);
    is_unchanged::<VideoId>(text);
    is_unchanged::<GrantId>(text);
    is_unchanged::<KeyId>(text);
    is_unchanged::<CommitId>(text);
    is_unchanged::<StreamId>(text);
    is_unchanged::<Day>(text);
    if let Ok(stream) = text.parse::<StreamId>() {
        assert!(text.split('/').any(|part| part == stream.project_id().as_str()));
    }
    if let Ok(day) = text.parse::<Day>() {
        assert_eq!(Day::of(day.start()), day);
        assert!(day.start() <= day.end());
    }
    check_time(text);
}

fn is_unchanged<T: FromStr + Display>(text: &str) {
    if let Ok(parsed) = text.parse::<T>() {
        assert_eq!(parsed.to_string(), text);
    }
}

/// The printed form of a time is canonical: equal instants are equal texts, in the order of time.
fn check_time(text: &str) {
    let Ok(time) = text.parse::<Timestamp>() else { return };
    let printed = time.to_string();
    assert_eq!(printed.len(), "2026-01-02T03:04:05.678Z".len());
    assert_eq!(printed.parse::<Timestamp>(), Ok(time));
    let read = OffsetDateTime::parse(text, &Rfc3339).expect("the product accepts no more than RFC 3339");
    let millis =
        i64::try_from(read.unix_timestamp_nanos().div_euclid(1_000_000)).expect("years have four digits");
    assert_eq!(time.unix_millis(), millis);
    let next = Timestamp::from_unix_millis(time.unix_millis() + 1);
    assert!(next == time || next.to_string() > printed);
}
