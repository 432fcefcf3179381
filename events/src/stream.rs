//! Streams: one subject's ordered events.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::id::{CommitId, InvalidId, MessageId, ProjectId, VideoId, WebhookId};
use crate::timestamp::Timestamp;

/// Identifies a stream: one subject, whose events are in one total order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// `project/{project_id}`: the project itself and its API keys.
    Project(ProjectId),
    /// `video/{project_id}/{video_id}`: one video.
    Video(ProjectId, VideoId),
    /// `grants/{project_id}/{yyyymmddhhmmss}/{shard}`: playback grants of ten seconds. They need no order among one another,
    /// so they are spread over several streams, and a popular video never makes a hot stream. A stream ends with its interval,
    /// so it stays short at any rate: whether it has a grant is found with one read. Logs of earlier versions also have
    /// streams of an hour, `grants/{project_id}/{yyyymmddhh}/{shard}`.
    Grants {
        /// The project that made the grants.
        project_id: ProjectId,
        /// The beginning of the interval in UTC: `yyyymmddhhmmss`, or `yyyymmddhh` for an hour.
        interval: String,
        /// The number of this stream among the parallel streams of the interval.
        shard: u8,
    },
    /// `grant/{project_id}/{yyyymmddhh}/{commit_id}`: one playback grant that was requested with an Idempotency-Key. Its name
    /// follows from the key and the hour, so that a repeated request finds it without searching.
    KeyedGrant {
        /// The project that made the grant.
        project_id: ProjectId,
        /// The hour, since the Unix epoch.
        hour: u32,
        /// The id of the grant's commit, which is derived from the key.
        commit_id: CommitId,
    },
    /// `webhooks/{project_id}`: the webhook endpoints of a project.
    Webhooks(ProjectId),
    /// `delivery/{project_id}/{webhook_id}/{message_id}`: the delivery of one message to one endpoint, with all its attempts.
    Delivery(ProjectId, WebhookId, MessageId),
    /// `audit/{project_id}`: the checkpoints of the project's transparency log that were recorded.
    Audit(ProjectId),
    /// `replays/{project_id}/{webhook_id}`: the jobs that send messages to an endpoint again. All jobs of an endpoint are in one stream, so
    /// that at most one is in progress.
    Replays(ProjectId, WebhookId),
}

/// The number of parallel streams of an interval. At ten million grants of one project in an hour, a stream has some 870 grants.
const GRANT_SHARDS: u8 = 32;

impl StreamId {
    /// The stream of the grant that `project_id` made at `at` and that the commit `id` records.
    pub fn grants(project_id: ProjectId, at: Timestamp, id: &CommitId) -> Self {
        let sum = id.as_str().bytes().fold(0u8, u8::wrapping_add);
        Self::Grants { project_id, interval: at.ten_seconds(), shard: sum % GRANT_SHARDS }
    }

    /// The stream of the grant that `project_id` made at `at` for a request with an Idempotency-Key, from which the commit id
    /// is derived.
    pub fn keyed_grant(project_id: ProjectId, at: Timestamp, commit_id: CommitId) -> Self {
        Self::KeyedGrant { project_id, hour: hour_of(at), commit_id }
    }

    /// Whether each event of the stream stands for itself, so that their order does not matter. Such a stream is usually new
    /// when a fact for it arrives.
    pub fn is_of_grants(&self) -> bool {
        matches!(self, Self::Grants { .. } | Self::KeyedGrant { .. })
    }

    /// The project that the stream belongs to.
    pub fn project_id(&self) -> &ProjectId {
        match self {
            Self::Project(project_id)
            | Self::Video(project_id, _)
            | Self::Grants { project_id, .. }
            | Self::KeyedGrant { project_id, .. }
            | Self::Webhooks(project_id)
            | Self::Delivery(project_id, ..)
            | Self::Audit(project_id)
            | Self::Replays(project_id, _) => project_id,
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(project_id) => write!(formatter, "project/{project_id}"),
            Self::Video(project_id, video_id) => write!(formatter, "video/{project_id}/{video_id}"),
            Self::Grants { project_id, interval, shard } => {
                write!(formatter, "grants/{project_id}/{interval}/{shard}")
            }
            Self::KeyedGrant { project_id, hour, commit_id } => {
                let hour = Timestamp::from_unix_seconds(i64::from(*hour) * SECONDS_OF_AN_HOUR).hour();
                write!(formatter, "grant/{project_id}/{hour}/{commit_id}")
            }
            Self::Webhooks(project_id) => write!(formatter, "webhooks/{project_id}"),
            Self::Delivery(project_id, webhook_id, message_id) => {
                write!(formatter, "delivery/{project_id}/{webhook_id}/{message_id}")
            }
            Self::Audit(project_id) => write!(formatter, "audit/{project_id}"),
            Self::Replays(project_id, webhook_id) => write!(formatter, "replays/{project_id}/{webhook_id}"),
        }
    }
}

impl FromStr for StreamId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidId {
            kind: "stream",
            rule: "project/{project}, video/{project}/{video}, grants/{project}/{yyyymmddhh[mmss]}/{shard}, grant/{project}/{yyyymmddhh}/{commit}, webhooks/{project}, delivery/{project}/{webhook}/{message}, audit/{project} or replays/{project}/{webhook}",
        };
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["project", project_id] => Ok(Self::Project(project_id.parse()?)),
            ["video", project_id, video_id] => Ok(Self::Video(project_id.parse()?, video_id.parse()?)),
            ["grants", project_id, interval, shard] => {
                if ![10, 14].contains(&interval.len()) || !is_digits(interval) {
                    return Err(invalid());
                }
                let number: u8 = shard.parse().map_err(|_| invalid())?;
                if number.to_string() != shard {
                    return Err(invalid());
                }
                Ok(Self::Grants {
                    project_id: project_id.parse()?,
                    interval: interval.to_owned(),
                    shard: number,
                })
            }
            ["grant", project_id, hour, commit_id] => Ok(Self::KeyedGrant {
                project_id: project_id.parse()?,
                hour: parse_hour(hour).ok_or_else(invalid)?,
                commit_id: commit_id.parse()?,
            }),
            ["webhooks", project_id] => Ok(Self::Webhooks(project_id.parse()?)),
            ["delivery", project_id, webhook_id, message_id] => {
                Ok(Self::Delivery(project_id.parse()?, webhook_id.parse()?, message_id.parse()?))
            }
            ["audit", project_id] => Ok(Self::Audit(project_id.parse()?)),
            ["replays", project_id, webhook_id] => {
                Ok(Self::Replays(project_id.parse()?, webhook_id.parse()?))
            }
            _ => Err(invalid()),
        }
    }
}

/// The seconds of an hour.
const SECONDS_OF_AN_HOUR: i64 = 3600;

/// The hour of `at`, since the Unix epoch.
fn hour_of(at: Timestamp) -> u32 {
    u32::try_from(at.unix_seconds() / SECONDS_OF_AN_HOUR).expect("hours until the year 9999 fit into 32 bits")
}

/// The hour whose text form is `yyyymmddhh`.
fn parse_hour(text: &str) -> Option<u32> {
    if text.len() != 10 || !is_digits(text) {
        return None;
    }
    let (date, hour) = text.split_at(8);
    let (year, rest) = date.split_at(4);
    let (month, day) = rest.split_at(2);
    Some(hour_of(format!("{year}-{month}-{day}T{hour}:00:00Z").parse().ok()?))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_accepted_name_is_written_back_unchanged(text in "(project|video|grants?|webhooks|delivery|audit|replays)/[a-z]{3}(/[a-z0-9_]{1,30})?(/[0-9]{1,4})?|.*") {
            if let Ok(stream) = text.parse::<StreamId>() {
                prop_assert_eq!(stream.to_string(), text);
            }
        }

        #[test]
        fn every_kind_of_stream_round_trips(millis in 0i64..4_000_000_000_000, cause: String) {
            let project: ProjectId = "acme".parse().unwrap();
            let video = VideoId::of(&"projects/acme/a".parse().unwrap());
            let (at, id) = (Timestamp::from_unix_millis(millis), CommitId::derived_from(&[&cause]));
            for stream in [
                StreamId::Project(project.clone()),
                StreamId::Video(project.clone(), video),
                StreamId::grants(project.clone(), at, &id),
                StreamId::keyed_grant(project.clone(), at, id),
                StreamId::Webhooks(project.clone()),
                StreamId::Audit(project.clone()),
                StreamId::Replays(project.clone(), WebhookId::derived_from(&[cause.as_bytes()])),
                StreamId::Delivery(project, WebhookId::derived_from(&[cause.as_bytes()]), MessageId::derived_from(&[&cause])),
            ] {
                prop_assert_eq!(stream.to_string().parse::<StreamId>(), Ok(stream));
            }
        }

        #[test]
        fn a_keyed_grant_has_a_valid_hour_in_its_name(hour in "[0-9]{10}|20[0-9]{2}(0[1-9]|1[0-2])[0-2][0-9][0-2][0-9]") {
            let name = format!("grant/acme/{hour}/{}", CommitId::derived_from(&["a"]));
            if let Ok(stream) = name.parse::<StreamId>() {
                prop_assert_eq!(stream.to_string(), name);
            }
        }

        #[test]
        fn grants_of_one_stream_are_less_than_ten_seconds_apart(millis in 0i64..4_000_000_000_000, later in 0i64..20_000) {
            let id = CommitId::derived_from(&["a"]);
            let of = |millis| StreamId::grants("acme".parse().unwrap(), Timestamp::from_unix_millis(millis), &id);
            prop_assert_eq!(of(millis) == of(millis + later), millis / 10_000 == (millis + later) / 10_000);
        }
    }

    #[test]
    fn grants_are_distributed_among_all_streams_of_an_interval() {
        let at = Timestamp::from_unix_seconds(1_767_323_045);
        let mut counts = [0u32; GRANT_SHARDS as usize];
        for number in 0u32..3200 {
            let id = CommitId::derived_from(&[&number.to_string()]);
            let StreamId::Grants { shard, interval, .. } = StreamId::grants("acme".parse().unwrap(), at, &id)
            else {
                panic!("a stream of grants")
            };
            assert_eq!(interval, "20260102030400");
            counts[usize::from(shard)] += 1;
        }
        assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
    }

    /// Logs of earlier versions have them.
    #[test]
    fn streams_of_an_hour_are_still_read() {
        let stream: StreamId = "grants/acme/2026010203/7".parse().unwrap();
        assert!(stream.is_of_grants());
        assert_eq!(stream.to_string(), "grants/acme/2026010203/7");
    }
}
