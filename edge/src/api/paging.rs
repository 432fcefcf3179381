//! Pages of lists: parameters `limit` and `after`, response `{data, nextCursor}`.

use serde::Serialize;
use streamio_events::home::{MAX_CURSOR_BYTES, MAX_PAGE_ITEMS, Page};

use crate::problem::Problem;
use crate::request::Query;

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = MAX_PAGE_ITEMS as usize;

/// The requested page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Paging {
    pub(super) limit: usize,
    pub(super) after: Option<String>,
}

/// The response body of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageBody<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> From<Page<T>> for PageBody<T> {
    fn from(Page { data, next }: Page<T>) -> Self {
        Self { data, next_cursor: next }
    }
}

impl Paging {
    pub(super) fn take(query: &mut Query) -> Result<Self, Problem> {
        let limit = match query.take("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| {
                    (1..=MAX_LIMIT).contains(limit) && text.bytes().all(|byte| byte.is_ascii_digit())
                })
                .ok_or_else(|| {
                    Problem::parameter("limit", format!("must be a whole number from 1 to {MAX_LIMIT}"))
                })?,
        };
        let after = query.take("after");
        if after.as_deref().is_some_and(|cursor| !is_cursor(cursor)) {
            return Err(invalid_cursor());
        }
        Ok(Self { limit, after })
    }
}

fn is_cursor(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (1..=MAX_CURSOR_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

pub(super) fn invalid_cursor() -> Problem {
    Problem::parameter("after", "must be a `nextCursor` (of the feed also a `position`) of this list")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(query: &str) -> Option<Paging> {
        Paging::take(&mut Query::parse(Some(query)).unwrap()).ok()
    }

    #[test]
    fn parameters_outside_their_limits_are_refused() {
        assert_eq!(take(""), Some(Paging { limit: 20, after: None }));
        assert_eq!(
            take("limit=100&after=a.B-9_~"),
            Some(Paging { limit: 100, after: Some("a.B-9_~".to_owned()) })
        );
        let too_long = format!("after={}", "a".repeat(513));
        for refused in [
            "limit=0",
            "limit=101",
            "limit=",
            "limit=-1",
            "limit=1.0",
            "limit=%2B5",
            "limit=5%20",
            "after=",
            "after=a%2Fb",
            "after=%C3%A4",
            &too_long,
        ] {
            assert_eq!(take(refused), None, "{refused}");
        }
    }
}
