//! Streams: one subject's ordered events.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::id::{InvalidId, ProjectId, VideoId};
use crate::timestamp::Timestamp;

/// Identifies a stream: one subject, whose events are in one total order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// `project/{project_id}`: the project itself and its API keys.
    Project(ProjectId),
    /// `video/{project_id}/{video_id}`: one video.
    Video(ProjectId, VideoId),
    /// `grants/{project_id}/{yyyymmddhh}/{shard}`: playback grants of one hour. They need no order among one another,
    /// so they are spread over several streams, and a popular video never makes a hot stream.
    Grants {
        /// The project that made the grants.
        project_id: ProjectId,
        /// The hour in UTC, `yyyymmddhh`.
        hour: String,
        /// The number of this stream among the parallel streams of the hour.
        shard: u8,
    },
}

impl StreamId {
    /// The stream of a grant that `project_id` made at `at`.
    pub fn grants(project_id: ProjectId, at: Timestamp, shard: u8) -> Self {
        Self::Grants { project_id, hour: at.hour(), shard }
    }

    /// The project that the stream belongs to.
    pub fn project_id(&self) -> &ProjectId {
        match self {
            Self::Project(project_id) | Self::Video(project_id, _) | Self::Grants { project_id, .. } => {
                project_id
            }
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(project_id) => write!(formatter, "project/{project_id}"),
            Self::Video(project_id, video_id) => write!(formatter, "video/{project_id}/{video_id}"),
            Self::Grants { project_id, hour, shard } => {
                write!(formatter, "grants/{project_id}/{hour}/{shard}")
            }
        }
    }
}

impl FromStr for StreamId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidId {
            kind: "stream",
            rule: "project/{project}, video/{project}/{video} or grants/{project}/{yyyymmddhh}/{shard}",
        };
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["project", project_id] => Ok(Self::Project(project_id.parse()?)),
            ["video", project_id, video_id] => Ok(Self::Video(project_id.parse()?, video_id.parse()?)),
            ["grants", project_id, hour, shard] => {
                if hour.len() != 10 || !hour.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(invalid());
                }
                let number: u8 = shard.parse().map_err(|_| invalid())?;
                if number.to_string() != shard {
                    return Err(invalid());
                }
                Ok(Self::Grants { project_id: project_id.parse()?, hour: hour.to_owned(), shard: number })
            }
            _ => Err(invalid()),
        }
    }
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
        fn an_accepted_name_is_written_back_unchanged(text in "(project|video|grants)/[a-z]{3}(/[a-z0-9_]{1,30})?(/[0-9]{1,4})?|.*") {
            if let Ok(stream) = text.parse::<StreamId>() {
                prop_assert_eq!(stream.to_string(), text);
            }
        }

        #[test]
        fn every_kind_of_stream_round_trips(millis in 0i64..4_000_000_000_000, shard: u8) {
            let project: ProjectId = "acme".parse().unwrap();
            let video = VideoId::of(&"projects/acme/a".parse().unwrap());
            for stream in [
                StreamId::Project(project.clone()),
                StreamId::Video(project.clone(), video),
                StreamId::grants(project, Timestamp::from_unix_millis(millis), shard),
            ] {
                prop_assert_eq!(stream.to_string().parse::<StreamId>(), Ok(stream));
            }
        }
    }
}
