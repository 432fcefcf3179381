use http::HeaderMap;

use super::headers::IDEMPOTENCY_KEY_HEADER;
use crate::problem::Problem;

/// The client's key for repeating a request without repeating its effect.
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

const MAX_BYTES: usize = 255;

impl IdempotencyKey {
    /// The header's value, if it was sent: 1 to 255 visible ASCII characters. Several values give the same error as an
    /// invalid one, because some hosts join them with a comma and a space before they can be counted.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY_HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().ok().filter(|text| {
            (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        });
        match (text, values.next()) {
            (Some(text), None) => Ok(Some(Self(text.to_owned()))),
            _ => Err(Problem::parameter(
                IDEMPOTENCY_KEY_HEADER.as_str(),
                "must be sent once, as 1 to 255 visible ASCII characters",
            )),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
