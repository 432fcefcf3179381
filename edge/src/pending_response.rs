//! A response that may have to wait for the journal.

use bytes::Bytes;
use http::Response;

use crate::ports::journal::Receipt;

/// A response and, when the journal has not accepted the request's grant yet, the receipt that must confirm it before the response
/// is sent: also before a problem response, so that the grant is not lost and a failure is reported. When the receipt fails, send [`Edge::not_recorded`](crate::Edge::not_recorded) instead.
pub struct PendingResponse {
    /// The response.
    pub response: Response<Bytes>,
    /// The receipt to wait for; `None` when the response may be sent at once.
    pub receipt: Option<Box<dyn Receipt>>,
}
