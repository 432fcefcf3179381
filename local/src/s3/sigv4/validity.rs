//! The time within which a signature is valid.

use s3s::s3_error;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::fields::SignatureFields;
use crate::s3::refusal::Refusal;

/// The most that the time of a signature may differ from the server's:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html> (`RequestTimeTooSkewed`). A presigned URL may be
/// older, up to its expiry.
const MAX_SKEW: Duration = Duration::minutes(15);

/// Checks that a presigned URL has not expired and that the signature's time is not too far from `now`. A time that does
/// not exist, such as a 13th month, is left to `s3s`.
pub(super) fn check(signature: &SignatureFields, now: OffsetDateTime) -> Result<(), Refusal> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let Ok(signed_at) = PrimitiveDateTime::parse(&signature.time, format) else { return Ok(()) };
    let age = now - signed_at.assume_utc();
    if age < -MAX_SKEW || (signature.expires.is_none() && age > MAX_SKEW) {
        return Err(Refusal {
            error: s3_error!(
                RequestTimeTooSkewed,
                "The difference between the request time and the server's time is too large; set the clock and sign again"
            ),
            details: vec![
                ("RequestTime", signature.time.clone()),
                ("ServerTime", whole_seconds(now)),
                ("MaxAllowedSkewMilliseconds", MAX_SKEW.whole_milliseconds().to_string()),
            ],
        });
    }
    let Some(expires) = signature.expires else { return Ok(()) };
    if age <= Duration::seconds(i64::from(expires)) {
        return Ok(());
    }
    let expired_at = signed_at.assume_utc() + Duration::seconds(i64::from(expires));
    Err(Refusal {
        error: s3_error!(AccessDenied, "Request has expired"),
        details: vec![
            ("X-Amz-Expires", expires.to_string()),
            ("Expires", whole_seconds(expired_at)),
            ("ServerTime", whole_seconds(now)),
        ],
    })
}

/// A time such as `2030-01-01T00:00:00Z`.
fn whole_seconds(time: OffsetDateTime) -> String {
    let time = time.replace_nanosecond(0).unwrap_or(time);
    time.format(&Rfc3339).unwrap_or_default()
}
