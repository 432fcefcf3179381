//! Refuses uploads that would be rejected after they arrived, because they exceed a limit of the project.

use crate::api::Exchange;
use crate::problem::{Problem, ProblemKind};

/// The least size of an upload that becomes a video, for a request that states none.
const LEAST_BYTES: u64 = 1;

/// Refuses an upload of `size` bytes, if it is stated, that exceeds what was left of the project's limits when that was last measured. The
/// record of the API key has the measurement, so nothing is read.
pub(super) fn check(exchange: &Exchange<'_>, size: Option<u64>) -> Result<(), Problem> {
    let Some(measured) = &exchange.tenant.measured else { return Ok(()) };
    let now = exchange.context.now;
    let Some(refused) = measured.refuse_upload(size.unwrap_or(LEAST_BYTES), now) else { return Ok(()) };
    let kind = ProblemKind::LimitExceeded;
    // A sentence, so that `detail` does not begin with the name of the field.
    let detail = ["This upload exceeds a limit: ", &refused.message, "."].concat();
    let is_too_large = size.is_some() && measured.refuse_upload(LEAST_BYTES, now).is_none();
    Err(if is_too_large { Problem::at_field(kind, "size", detail) } else { Problem::new(kind, detail) })
}
