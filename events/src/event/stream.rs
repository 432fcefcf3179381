//! Events about streams themselves.

use serde::{Deserialize, Serialize};

event_body! {
    /// A record of this stream could not be processed. The stream waits for an operator; all others continue.
    StreamQuarantined {
        /// The first version that was not processed.
        version: u64,
        /// Why, for the operator.
        reason: String,
    }
}
