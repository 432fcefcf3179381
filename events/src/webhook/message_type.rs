//! The types of messages, and patterns that select them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::event::RecordedEvent;

macro_rules! message_types {
    ($($(#[$docs:meta])* $variant:ident => $text:literal,)*) => {
        /// The type of a message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum MessageType {
            $($(#[$docs])* $variant,)*
        }

        impl MessageType {
            /// All types.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The type in its wire form.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

message_types! {
    /// An upload was accepted.
    VideoUploaded => "video.uploaded",
    /// An upload was rejected. The video stays as it was.
    VideoRejected => "video.rejected",
    /// A worker has started an attempt at processing.
    VideoProcessing => "video.processing",
    /// An attempt has made progress. Sent only to endpoints that ask for it by name.
    VideoProgress => "video.progress",
    /// The video can be played.
    VideoReady => "video.ready",
    /// No playable video could be made.
    VideoErrored => "video.errored",
    /// The video was deleted. No message about what was deleted follows.
    VideoDeleted => "video.deleted",
    /// Messages are no longer sent to another endpoint of the project.
    WebhookDisabled => "webhook.disabled",
}

impl MessageType {
    /// The type of the message about `event`; `None` if there is none.
    pub fn of_event(event: &RecordedEvent) -> Option<Self> {
        Some(match event.kind.as_str() {
            "upload.completed" => Self::VideoUploaded,
            "upload.rejected" => Self::VideoRejected,
            "processing.started" => Self::VideoProcessing,
            "processing.progressed" => Self::VideoProgress,
            "video.ready" => Self::VideoReady,
            "video.errored" => Self::VideoErrored,
            "video.deleted" => Self::VideoDeleted,
            "webhook.disabled" => Self::WebhookDisabled,
            _ => return None,
        })
    }

    /// Whether a pattern with `*` selects the type. Progress is frequent, so that an endpoint must name it.
    fn is_in_wildcards(self) -> bool {
        self != Self::VideoProgress
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Text that is not the type of a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a type of message; there are: {types}", types = known_types())]
pub struct UnknownMessageType(String);

/// Text that is neither the type of a message nor a pattern of types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a type of message; there are: {ALL}, {VIDEOS}, {types}", types = known_types())]
pub struct UnknownTypePattern(String);

fn known_types() -> String {
    MessageType::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ")
}

impl FromStr for MessageType {
    type Err = UnknownMessageType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|known| known.as_str() == text);
        found.copied().ok_or_else(|| UnknownMessageType(text.to_owned()))
    }
}

/// Selects types of messages: one type, `*` (all but progress) or `video.*` (all about videos but progress).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TypePattern {
    /// All types but `video.progress`.
    All,
    /// All types about videos but `video.progress`.
    Videos,
    /// One type.
    One(MessageType),
}

const ALL: &str = "*";
const VIDEOS: &str = "video.*";

impl TypePattern {
    /// Whether it selects the type.
    pub fn selects(self, message_type: MessageType) -> bool {
        match self {
            Self::All => message_type.is_in_wildcards(),
            Self::Videos => message_type.is_in_wildcards() && message_type != MessageType::WebhookDisabled,
            Self::One(one) => one == message_type,
        }
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::All => ALL,
            Self::Videos => VIDEOS,
            Self::One(one) => one.as_str(),
        })
    }
}

impl FromStr for TypePattern {
    type Err = UnknownTypePattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            ALL => Ok(Self::All),
            VIDEOS => Ok(Self::Videos),
            one => one.parse().map(Self::One).map_err(|UnknownMessageType(text)| UnknownTypePattern(text)),
        }
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(MessageType, TypePattern);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EVENT_TYPES;
    use crate::timestamp::Timestamp;

    #[test]
    fn every_type_has_an_event_and_its_text_round_trips() {
        let at = Timestamp::default();
        let of = |kind: &str| {
            let (kind, data) = (kind.to_owned(), serde_json::json!({}));
            MessageType::of_event(&RecordedEvent { kind, version: 1, at, data, fact: None })
        };
        let made: Vec<_> = EVENT_TYPES.iter().filter_map(|(kind, _)| of(kind)).collect();
        for message_type in MessageType::ALL {
            assert!(made.contains(message_type), "no event leads to {message_type}");
            assert_eq!(message_type.to_string().parse(), Ok(*message_type));
        }
        assert_eq!(made.len(), MessageType::ALL.len());
        assert_eq!(of("upload.granted"), None);
    }

    #[test]
    fn a_pattern_selects_what_it_names() {
        let selected = |pattern: &str| -> Vec<&str> {
            let pattern: TypePattern = pattern.parse().unwrap();
            MessageType::ALL.iter().filter(|it| pattern.selects(**it)).map(|it| it.as_str()).collect()
        };
        assert_eq!(selected("*").len(), MessageType::ALL.len() - 1);
        assert_eq!(selected("video.*").len(), MessageType::ALL.len() - 2);
        assert!(!selected("*").contains(&"video.progress"));
        assert!(!selected("video.*").contains(&"webhook.disabled"));
        for message_type in MessageType::ALL {
            assert_eq!(selected(message_type.as_str()), [message_type.as_str()]);
        }
    }

    #[test]
    fn an_unknown_type_is_refused_with_all_known_ones() {
        for text in ["", "video", "video.redy", "Video.ready", "**", "webhook.*", "video.ready "] {
            let error = text.parse::<TypePattern>().unwrap_err().to_string();
            assert!(error.contains("there are: *, video.*, video.uploaded, "), "{error}");
        }
        for text in ["*", "video.*", "video.redy"] {
            let error = text.parse::<MessageType>().unwrap_err().to_string();
            assert!(
                error.contains("there are: video.uploaded, "),
                "where one type is stated, a pattern is none: {error}"
            );
        }
    }
}
