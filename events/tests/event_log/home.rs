//! The wire format of the home region's calls and replies.

use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use streamio_events::api_key::ApiKey;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::{Commit, Head, NewCommit};
use streamio_events::event::{RecordedEvent, Scope};
use streamio_events::fact::{Fact, MAX_FACT_BYTES};
use streamio_events::home::{
    Commanded, FeedPage, HomeCall, HomeError, HomeReply, HomeResult, MAX_CALL_BYTES, MAX_CURSOR_BYTES,
    MAX_PAGE_ITEMS, Page, ReplyError,
};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::media::MediaSource;
use streamio_events::metadata::Metadata;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{VideoState, VideoStatus};

use crate::fixtures::{event, fixtures};

fn project() -> ProjectId {
    "acme".parse().unwrap()
}

fn video() -> VideoId {
    VideoId::of(&"projects/acme/films/clip.mp4".parse().unwrap())
}

fn commit_id(cause: &str) -> CommitId {
    CommitId::derived_from(&[cause])
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (0i64..4_000_000_000_000).prop_map(Timestamp::from_unix_millis)
}

fn any_call() -> impl Strategy<Value = HomeCall> {
    let page = (option::of(".{0,40}"), 0u16..=200);
    let state = option::of(prop::sample::select(VideoState::ALL.to_vec()));
    prop_oneof![
        any::<[u8; 32]>()
            .prop_map(|random| HomeCall::Tenant { key: ApiKey::generate("live", random).unwrap().hash() }),
        Just(HomeCall::Video { project_id: project(), video_id: video() }),
        any_time().prop_map(|at| HomeCall::VideoAsOf { project_id: project(), video_id: video(), at }),
        (
            page.clone(),
            state,
            option::of(".{1,8}"),
            prop::collection::btree_map("[a-z]{1,4}", ".{0,4}", 0..3)
        )
            .prop_map(|((after, limit), state, prefix, metadata)| HomeCall::ListVideos {
                project_id: project(),
                state,
                prefix,
                metadata,
                after,
                limit
            }),
        (".*", prop::collection::btree_map("[a-z]{1,4}", option::of(".{0,4}"), 0..3)).prop_map(
            |(cause, metadata)| {
                HomeCall::UpdateVideo {
                    project_id: project(),
                    video_id: video(),
                    commit_id: commit_id(&cause),
                    metadata: metadata.into_iter().collect(),
                }
            }
        ),
        page.clone().prop_map(|(after, limit)| HomeCall::VideoEvents {
            project_id: project(),
            video_id: video(),
            after,
            limit
        }),
        page.prop_map(|(after, limit)| HomeCall::Feed { project_id: project(), after, limit }),
        ".*".prop_map(|cause| HomeCall::DeleteVideo {
            project_id: project(),
            video_id: video(),
            commit_id: commit_id(&cause)
        }),
        ".*".prop_map(|cause| HomeCall::ReprocessVideo {
            project_id: project(),
            video_id: video(),
            commit_id: commit_id(&cause)
        }),
        (".*", any::<f64>(), any_time()).prop_filter_map("a fact", |(text, number, at)| {
            let data = json!({ "text": text, "number": number });
            let event =
                RecordedEvent { kind: "galaxy.collided".to_owned(), version: 1, at, data, fact: None };
            let commit = NewCommit { id: commit_id("cause"), events: vec![event], recorded_at: at };
            Some(HomeCall::Record { fact: Fact::new(StreamId::Project(project()), commit).ok()? })
        }),
        (any_time(), ".*").prop_map(|(at, cause)| HomeCall::Recall {
            stream: StreamId::keyed_grant(project(), at, commit_id(&cause)),
            commit_id: commit_id("cause")
        }),
    ]
}

fn any_status() -> impl Strategy<Value = VideoStatus> {
    (any_time(), any::<f64>(), prop::collection::btree_map(".{0,8}", ".{0,8}", 0..3), any::<u64>()).prop_map(
        |(at, duration_seconds, metadata, version)| VideoStatus {
            video_id: video(),
            project_id: project(),
            s3_key: "projects/acme/films/clip.mp4".parse().unwrap(),
            state: VideoState::Processing,
            progress: 42,
            generation: 2,
            attempt: 1,
            error: None,
            source: Some(MediaSource {
                duration_seconds,
                width: Some(1280),
                height: None,
                rotation: 90,
                frame_rate: Some(duration_seconds / 3.0),
                video_codec: Some("h264".to_owned()),
                audio_codec: None,
                bytes: version,
                warnings: Vec::new(),
            }),
            outputs: None,
            expires_at: Some(at),
            warnings: Vec::new(),
            metadata,
            created_at: at,
            updated_at: at,
            version,
        },
    )
}

/// The events of all fixtures as CloudEvents.
fn cloud_events() -> Vec<CloudEvent> {
    let events: Vec<RecordedEvent> =
        fixtures().iter().filter(|(name, _)| name.contains(".v")).map(|(_, json)| event(json)).collect();
    let stream = StreamId::Video(project(), video());
    let commit = NewCommit { id: commit_id("cause"), events, recorded_at: Timestamp::default() };
    CloudEvent::all(&Commit::following(stream, Head::EMPTY, commit)).collect()
}

fn any_reply() -> impl Strategy<Value = HomeReply> {
    let tenant =
        (any::<bool>(), option::of(any_time()), any::<u64>()).prop_map(|(flag, expires_at, version)| {
            Tenant {
                project_id: project(),
                key_id: ApiKey::generate("live", [7; 32]).unwrap().hash().key_id(),
                scopes: vec![Scope::Upload, Scope::Admin],
                expires_at,
                revoked: flag,
                suspended: !flag,
                measured: None,
                version,
            }
        });
    let next = option::of("[a-z0-9.]{1,20}");
    let events = Just(cloud_events());
    let recorded = option::of(prop::sample::select(
        fixtures()
            .into_iter()
            .filter(|(name, _)| name != "SHA256SUMS")
            .map(|(_, json)| event(&json))
            .collect::<Vec<_>>(),
    ));
    let result = prop_oneof![
        option::of(tenant).prop_map(HomeResult::Tenant),
        option::of(any_status()).prop_map(HomeResult::Video),
        (prop::collection::vec(any_status(), 0..3), next.clone())
            .prop_map(|(data, next)| HomeResult::Videos(Page { data, next })),
        option::of((events.clone(), next.clone()).prop_map(|(data, next)| Page { data, next }))
            .prop_map(HomeResult::VideoEvents),
        (events, next, any::<bool>()).prop_map(|(data, position, more)| HomeResult::Feed(FeedPage {
            data,
            position,
            more
        })),
        (any_status(), any::<bool>())
            .prop_map(|(status, repeated)| HomeResult::Command(Commanded { status, repeated })),
        recorded.clone().prop_map(HomeResult::Recorded),
        recorded.prop_map(HomeResult::Recalled),
    ];
    let error = prop_oneof![
        Just(ReplyError::InvalidCursor),
        Just(ReplyError::NotFound),
        ".*".prop_map(|text| ReplyError::Conflict { text }),
        Just(ReplyError::KeyReused),
        Just(ReplyError::Unavailable),
        ".*".prop_map(|text| ReplyError::Refused { text }),
    ];
    prop_oneof![result.prop_map(HomeReply::Ok), error.prop_map(HomeReply::Error)]
}

proptest! {
    #[test]
    fn every_call_is_decoded_as_it_was_encoded(call in any_call()) {
        let json = call.to_json();
        prop_assert_eq!(&serde_json::from_str::<HomeCall>(&json).unwrap(), &call);
        prop_assert_eq!(&serde_json::from_str::<Value>(&json).unwrap()["call"], call.name());
        prop_assert!(json.len() <= MAX_CALL_BYTES);
    }

    #[test]
    fn every_reply_is_decoded_as_it_was_encoded(reply in any_reply()) {
        let json = reply.to_json();
        prop_assert_eq!(&serde_json::from_str::<HomeReply>(&json).unwrap(), &reply);
        if let HomeReply::Ok(result) = &reply {
            let wire: Value = serde_json::from_str(&json).unwrap();
            prop_assert!(wire["ok"].as_object().unwrap().keys().eq([result.name()]));
        }
    }

    #[test]
    fn a_call_with_an_unknown_field_is_refused_with_the_field_s_name(call in any_call()) {
        let mut json: Value = serde_json::from_str(&call.to_json()).unwrap();
        json["unknown"] = json!("globex");
        let refused = serde_json::from_value::<HomeCall>(json).unwrap_err().to_string();
        prop_assert!(refused.contains("`unknown`"), "{refused}");
    }

    #[test]
    fn text_that_is_not_a_call_is_refused_without_a_panic(text in r#".*|\{"call":".*"\}"#) {
        prop_assert!(serde_json::from_str::<HomeCall>(&text).is_err());
    }

    #[test]
    fn page_requests_are_checked_against_the_limits(limit: u16, bytes in 0usize..1000) {
        let call = HomeCall::Feed { project_id: project(), after: Some("a".repeat(bytes)), limit };
        let allowed = (1..=MAX_PAGE_ITEMS).contains(&limit) && bytes <= MAX_CURSOR_BYTES;
        prop_assert_eq!(call.check_page().is_ok(), allowed);
    }
}

#[test]
fn an_unknown_call_is_refused_with_its_name() {
    let refused = serde_json::from_str::<HomeCall>(r#"{"call":"formatDisk"}"#).unwrap_err().to_string();
    assert!(refused.contains("unknown variant `formatDisk`"), "{refused}");
}

#[test]
fn the_largest_fact_fits_into_a_call() {
    let fact = |padding: usize| {
        let data = json!({ "padding": "x".repeat(padding) });
        let at = Timestamp::default();
        let event = RecordedEvent { kind: "galaxy.collided".to_owned(), version: 1, at, data, fact: None };
        let commit = NewCommit { id: commit_id("cause"), events: vec![event], recorded_at: at };
        Fact::new(StreamId::Project(project()), commit).unwrap()
    };
    let padding = MAX_FACT_BYTES - fact(0).json().len();
    assert!(HomeCall::Record { fact: fact(padding) }.to_json().len() <= MAX_CALL_BYTES);
}

#[test]
fn the_wire_format_is_as_reviewed() {
    let call = HomeCall::ListVideos {
        project_id: project(),
        state: Some(VideoState::Ready),
        prefix: None,
        metadata: Metadata::new(),
        after: Some("17".to_owned()),
        limit: 20,
    };
    assert_eq!(
        call.to_json(),
        r#"{"call":"listVideos","projectId":"acme","state":"ready","after":"17","limit":20}"#
    );
    let error = |error| HomeReply::Error(error).to_json();
    assert_eq!(error(ReplyError::NotFound), r#"{"error":{"kind":"notFound"}}"#);
    assert_eq!(
        error(ReplyError::Conflict { text: "It is deleted.".to_owned() }),
        r#"{"error":{"kind":"conflict","text":"It is deleted."}}"#
    );
    assert_eq!(HomeReply::Ok(HomeResult::Recalled(None)).to_json(), r#"{"ok":{"recalled":null}}"#);
}

/// The reasons of failures are for the operator of the home region, so both kinds are the same on the wire.
#[test]
fn the_wire_has_no_source_of_a_failure() {
    let source = || std::io::Error::other("the table's name");
    for error in
        [HomeError::Unavailable { source: source().into() }, HomeError::Failed { source: source().into() }]
    {
        let reply = HomeReply::Error(error.to_reply()).to_json();
        assert_eq!(reply, r#"{"error":{"kind":"unavailable"}}"#);
        assert_eq!(error.is_retryable(), matches!(error, HomeError::Unavailable { .. }));
    }
}
