//! The calls by which the edge reaches the home region, where the log and the views are: their form on the wire.
//!
//! Each is a `POST` to [`PATH`] with a [`HomeCall`] as JSON, signed with AWS Signature Version 4 in its headers (of the
//! service `lambda` for a function URL with `AWS_IAM`, `execute-api` behind an API Gateway). What comes back is a
//! [`HomeReply`]:
//!
//! | status | body | means |
//! |---|---|---|
//! | 200 | `{"ok": {"tenant": …}}`, the field named after the answer | done |
//! | 200 | `{"error": {"kind": "invalidCursor" \| "notFound" \| "conflict"}}` | the call was understood and refused |
//! | 400, 403, 404, 405, 413 | `{"error": {"kind": "refused", "text": …}}` | no such call, or not signed as it must be: the same call will be refused again |
//! | 503 | `{"error": {"kind": "unavailable"}}` | the log or a view did not answer; the same call may be made again |
//!
//! Every call may be made again: those that write carry a commit's id, under which the log takes a commit once.
//!
//! A call with a field or a name that its reader does not know is refused, because to ignore what a caller asks for is to
//! answer another question. In answers unknown fields are ignored, so the home region is deployed before the edge.

mod answer;
mod call;

pub use answer::{HomeAnswer, HomeError, HomePage, HomeReply};
pub use call::HomeCall;

/// The path of every call, behind whatever path the home region's base URL has.
pub const PATH: &str = "/home";

/// The most bytes of a call. The largest holds a [`Fact`](crate::fact::Fact).
pub const MAX_CALL_BYTES: usize = 160 * 1024;

/// The most bytes of an answer. A page that would be larger is answered shorter, with a cursor to the rest.
pub const MAX_ANSWER_BYTES: usize = 512 * 1024;

/// The most items of a page that a call may ask for.
pub const MAX_PAGE_ITEMS: u16 = 100;

/// The longest cursor, in bytes.
pub const MAX_CURSOR_BYTES: usize = 512;
