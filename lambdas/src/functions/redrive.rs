//! The call of an operator to handle a dead letter again, `{"redrive": "<id>"}`, and its answer, a [`Redriven`]. Other events of no source
//! have this form.

use serde_json::{Value, json};
use streamio_core::delivery::redrive::{Redeliver, Redriven, redrive};
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::DeadLetterStore;

use crate::runtime::Done;
use crate::runtime::metrics::Counts;

/// The id of the dead letter that `event` asks for; `None` if it is an event of the function's source.
pub(super) fn requested(event: &Value) -> Option<&str> {
    event.get("redrive")?.as_str()
}

/// Handles a dead letter of `function` again.
pub(super) async fn answer(
    store: &dyn DeadLetterStore,
    function: &'static str,
    id: &str,
    redeliver: &dyn Redeliver,
) -> Result<Done, AdapterError> {
    let redriven = redrive(store, function, id, redeliver).await?;
    let counts = match &redriven {
        Redriven::Handled => Counts { handled: 1, ..Counts::default() },
        Redriven::Absent => Counts::default(),
        Redriven::Failed { .. } => Counts { failed: 1, ..Counts::default() },
    };
    Done::new(&redriven, counts)
}

/// The batch whose only record is `payload`.
pub(super) fn batch_of(payload: &str) -> Result<Value, AdapterError> {
    let record: Value = serde_json::from_str(payload)?;
    Ok(json!({ "Records": [record] }))
}
