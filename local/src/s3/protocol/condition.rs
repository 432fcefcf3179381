//! Conditional requests: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html>.

use http::{HeaderMap, HeaderValue};
use s3s::dto::{ETag, ETagCondition, Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use time::OffsetDateTime;

use super::error_mapper::VERSION_ID;
use crate::s3::object::{ObjectMeta, Precondition};

/// The precondition of a write.
///
/// # Errors
/// `InvalidRequest` for both headers.
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

/// Parses the entity tag condition in the header `name`; `None` if it was not sent.
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

/// The result of evaluating conditions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConditionResult {
    Met,
    /// `If-Match` or `If-Unmodified-Since` does not hold.
    Failed,
    /// `If-None-Match` or `If-Modified-Since` does not hold: the client has the object already.
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

    /// Evaluates the conditions in the order of <https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2>: an entity tag
    /// has precedence over a date.
    pub(super) fn evaluate(self, meta: &ObjectMeta) -> ConditionResult {
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
            return ConditionResult::Failed;
        }
        let unchanged = match (self.none_match, self.modified_since) {
            (Some(condition), _) => same(&condition),
            (None, Some(since)) => modified <= seconds(since),
            (None, None) => false,
        };
        if unchanged { ConditionResult::NotModified } else { ConditionResult::Met }
    }
}

/// The error for a condition that does not hold.
pub(super) fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "at least one of the given conditions does not hold")
}

/// The 304 response, with the headers that identify the object.
pub(super) fn not_modified(meta: &ObjectMeta) -> S3Error {
    let mut headers = HeaderMap::new();
    if let Ok(etag) = ETag::Strong(meta.etag.clone()).to_http_header() {
        headers.insert(http::header::ETAG, etag);
    }
    headers.extend(http_date(meta.last_modified).map(|date| (http::header::LAST_MODIFIED, date)));
    if let Some(Ok(version_id)) = meta.version_id.as_deref().map(HeaderValue::from_str) {
        headers.insert(VERSION_ID, version_id);
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

/// A time as the value of a header such as `Last-Modified`.
pub(super) fn http_date(time: OffsetDateTime) -> Option<HeaderValue> {
    let mut date = Vec::new();
    Timestamp::from(time).format(TimestampFormat::HttpDate, &mut date).ok()?;
    HeaderValue::from_bytes(&date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::object::ObjectHeaders;

    fn evaluate(conditions: ReadConditions) -> ConditionResult {
        let meta = ObjectMeta {
            bucket: "raw".into(),
            key: "k".into(),
            etag: "abc".into(),
            size: 1,
            // Half a second later than the date that clients receive: must not count as newer.
            last_modified: OffsetDateTime::from_unix_timestamp_nanos(1_000_500_000_000).unwrap(),
            sequencer: String::new(),
            headers: ObjectHeaders::default(),
            checksum: None,
            parts: None,
            version_id: None,
        };
        conditions.evaluate(&meta)
    }

    fn tag(tag: &str) -> ETagCondition {
        ETagCondition::ETag(ETag::Strong(tag.to_owned()))
    }

    fn at(seconds: i64) -> Timestamp {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap().into()
    }

    #[test]
    fn entity_tags_and_dates_are_evaluated_as_in_rfc_9110() {
        let none = ReadConditions::default;
        assert_eq!(evaluate(none()), ConditionResult::Met);
        assert_eq!(evaluate(ReadConditions { matches: Some(tag("abc")), ..none() }), ConditionResult::Met);
        assert_eq!(evaluate(ReadConditions { matches: Some(tag("x")), ..none() }), ConditionResult::Failed);
        assert_eq!(
            evaluate(ReadConditions { matches: Some(ETagCondition::Any), ..none() }),
            ConditionResult::Met
        );
        assert_eq!(
            evaluate(ReadConditions { none_match: Some(tag("abc")), ..none() }),
            ConditionResult::NotModified
        );
        assert_eq!(evaluate(ReadConditions { none_match: Some(tag("x")), ..none() }), ConditionResult::Met);
        assert_eq!(
            evaluate(ReadConditions { modified_since: Some(at(1000)), ..none() }),
            ConditionResult::NotModified
        );
        assert_eq!(
            evaluate(ReadConditions { modified_since: Some(at(999)), ..none() }),
            ConditionResult::Met
        );
        assert_eq!(
            evaluate(ReadConditions { unmodified_since: Some(at(1000)), ..none() }),
            ConditionResult::Met
        );
        assert_eq!(
            evaluate(ReadConditions { unmodified_since: Some(at(999)), ..none() }),
            ConditionResult::Failed
        );
    }

    #[test]
    fn an_entity_tag_has_precedence_over_a_date() {
        let both = ReadConditions {
            matches: Some(tag("abc")),
            unmodified_since: Some(at(1)),
            ..ReadConditions::default()
        };
        assert_eq!(evaluate(both), ConditionResult::Met);
        let both = ReadConditions {
            none_match: Some(tag("x")),
            modified_since: Some(at(2000)),
            ..ReadConditions::default()
        };
        assert_eq!(evaluate(both), ConditionResult::Met);
    }
}
