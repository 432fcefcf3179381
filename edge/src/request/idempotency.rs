use http::HeaderMap;

use crate::problem::Problem;

/// What makes a repeated request the same request.
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

const NAME: &str = "idempotency-key";
const MOST_BYTES: usize = 255;

impl IdempotencyKey {
    /// The header's value as it stands, when there is one: 1 to 255 visible ASCII characters.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(NAME).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().ok().filter(|text| {
            (1..=MOST_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        });
        match (text, values.next()) {
            (Some(text), None) => Ok(Some(Self(text.to_owned()))),
            (None, None) => Err(Problem::parameter(NAME, "must be 1 to 255 visible ASCII characters")),
            (_, Some(_)) => Err(Problem::parameter(NAME, "was sent more than once")),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
