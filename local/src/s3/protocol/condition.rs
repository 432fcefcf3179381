//! Conditional requests: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html>.

use http::HeaderMap;
use s3s::dto::{ETag, ETagCondition, Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use time::OffsetDateTime;

use crate::s3::object::{ObjectMeta, Precondition};

/// The condition of a write.
pub(super) fn precondition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Precondition> {
    Ok(match (if_match, if_none_match) {
        (None, None) => Precondition::None,
        (Some(ETagCondition::Any), None) => Precondition::Present,
        (Some(ETagCondition::ETag(etag)), None) => Precondition::Etag(etag.into_value()),
        (None, Some(ETagCondition::Any)) => Precondition::Absent,
        (None, Some(ETagCondition::ETag(etag))) => Precondition::NotEtag(etag.into_value()),
        (Some(_), Some(_)) => {
            return Err(s3_error!(InvalidRequest, "send If-Match or If-None-Match, not both"));
        }
    })
}

/// An entity tag condition in a header.
pub(super) fn condition(headers: &HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    ETagCondition::parse_http_header(value.as_bytes())
        .map(Some)
        .map_err(|_| s3_error!(InvalidArgument, "{name} must be an entity tag or *"))
}

/// The conditions of a read, or on the source of a copy: `If-Match`, `If-None-Match`, `If-Modified-Since`,
/// `If-Unmodified-Since`.
#[derive(Default)]
pub(super) struct ReadConditions {
    pub(super) matches: Option<ETagCondition>,
    pub(super) none_match: Option<ETagCondition>,
    pub(super) modified_since: Option<Timestamp>,
    pub(super) unmodified_since: Option<Timestamp>,
}

/// What conditions say of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    /// It is not what the client demands.
    Failed,
    /// It is what the client has already.
    NotModified,
}

impl ReadConditions {
    /// Whether there is no condition.
    pub(super) fn is_empty(&self) -> bool {
        self.matches.is_none()
            && self.none_match.is_none()
            && self.modified_since.is_none()
            && self.unmodified_since.is_none()
    }

    /// Judges in the order of <https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2>: an entity tag outweighs a date.
    pub(super) fn judge(self, meta: &ObjectMeta) -> Verdict {
        let modified = meta.last_modified.unix_timestamp();
        let same = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == meta.etag,
        };
        let seconds = |timestamp: Timestamp| OffsetDateTime::from(timestamp).unix_timestamp();
        let failed = match (self.matches, self.unmodified_since) {
            (Some(condition), _) => !same(&condition),
            (None, Some(since)) => modified > seconds(since),
            (None, None) => false,
        };
        if failed {
            return Verdict::Failed;
        }
        let unchanged = match (self.none_match, self.modified_since) {
            (Some(condition), _) => same(&condition),
            (None, Some(since)) => modified <= seconds(since),
            (None, None) => false,
        };
        if unchanged { Verdict::NotModified } else { Verdict::Met }
    }
}

/// The answer to a condition that is not met.
pub(super) fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "at least one of the conditions given does not hold")
}

/// The answer to a client that has the object already. It repeats what identifies the object.
pub(super) fn not_modified(meta: &ObjectMeta) -> S3Error {
    let mut headers = HeaderMap::new();
    if let Ok(etag) = ETag::Strong(meta.etag.clone()).to_http_header() {
        headers.insert(http::header::ETAG, etag);
    }
    let mut date = Vec::new();
    if Timestamp::from(meta.last_modified).format(TimestampFormat::HttpDate, &mut date).is_ok()
        && let Ok(date) = http::HeaderValue::from_bytes(&date)
    {
        headers.insert(http::header::LAST_MODIFIED, date);
    }
    if let Some(control) = &meta.headers.cache_control
        && let Ok(control) = control.parse()
    {
        headers.insert(http::header::CACHE_CONTROL, control);
    }
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    error.set_headers(headers);
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::object::ObjectHeaders;

    fn judge(conditions: ReadConditions) -> Verdict {
        let meta = ObjectMeta {
            bucket: "raw".into(),
            key: "k".into(),
            etag: "abc".into(),
            size: 1,
            // The half second must not make it newer than the date that clients are told.
            last_modified: OffsetDateTime::from_unix_timestamp_nanos(1_000_500_000_000).unwrap(),
            sequencer: String::new(),
            headers: ObjectHeaders::default(),
            checksum: None,
            parts: None,
        };
        conditions.judge(&meta)
    }

    fn tag(tag: &str) -> ETagCondition {
        ETagCondition::ETag(ETag::Strong(tag.to_owned()))
    }

    fn at(seconds: i64) -> Timestamp {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap().into()
    }

    #[test]
    fn entity_tags_and_dates_are_judged_by_the_rules_of_http() {
        let none = ReadConditions::default;
        assert_eq!(judge(none()), Verdict::Met);
        assert_eq!(judge(ReadConditions { matches: Some(tag("abc")), ..none() }), Verdict::Met);
        assert_eq!(judge(ReadConditions { matches: Some(tag("x")), ..none() }), Verdict::Failed);
        assert_eq!(judge(ReadConditions { matches: Some(ETagCondition::Any), ..none() }), Verdict::Met);
        assert_eq!(judge(ReadConditions { none_match: Some(tag("abc")), ..none() }), Verdict::NotModified);
        assert_eq!(judge(ReadConditions { none_match: Some(tag("x")), ..none() }), Verdict::Met);
        assert_eq!(judge(ReadConditions { modified_since: Some(at(1000)), ..none() }), Verdict::NotModified);
        assert_eq!(judge(ReadConditions { modified_since: Some(at(999)), ..none() }), Verdict::Met);
        assert_eq!(judge(ReadConditions { unmodified_since: Some(at(1000)), ..none() }), Verdict::Met);
        assert_eq!(judge(ReadConditions { unmodified_since: Some(at(999)), ..none() }), Verdict::Failed);
    }

    #[test]
    fn an_entity_tag_outweighs_a_date() {
        let both = ReadConditions {
            matches: Some(tag("abc")),
            unmodified_since: Some(at(1)),
            ..ReadConditions::default()
        };
        assert_eq!(judge(both), Verdict::Met);
        let both = ReadConditions {
            none_match: Some(tag("x")),
            modified_since: Some(at(2000)),
            ..ReadConditions::default()
        };
        assert_eq!(judge(both), Verdict::Met);
    }
}
