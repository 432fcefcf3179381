use http::{HeaderMap, HeaderName};

use crate::problem::Problem;

/// What makes a repeated request the same request.
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

pub(crate) const NAME: HeaderName = HeaderName::from_static("idempotency-key");
const MOST_BYTES: usize = 255;

impl IdempotencyKey {
    /// The header's value as it stands, when there is one: 1 to 255 visible ASCII characters. Two values are refused in
    /// the same words as a wrong one: some hosts join them by a comma and a space before anybody can count them.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(NAME).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().ok().filter(|text| {
            (1..=MOST_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        });
        match (text, values.next()) {
            (Some(text), None) => Ok(Some(Self(text.to_owned()))),
            _ => Err(Problem::parameter(
                NAME.as_str(),
                "must be sent once, as 1 to 255 visible ASCII characters",
            )),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
