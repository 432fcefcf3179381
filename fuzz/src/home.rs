//! Calls to the home region and its replies.

use streamio_events::home::{HomeCall, HomeReply};

/// A call and a reply that were read are written as the same.
pub fn check(data: &[u8]) {
    if let Ok(call) = serde_json::from_slice::<HomeCall>(data) {
        let json = call.to_json();
        assert_eq!(serde_json::from_str::<HomeCall>(&json).expect("it was written"), call);
        let _ = call.check_page();
        assert!(!call.name().is_empty());
    }
    if let Ok(reply) = serde_json::from_slice::<HomeReply>(data) {
        let json = reply.to_json();
        assert_eq!(serde_json::from_str::<HomeReply>(&json).expect("it was written"), reply);
    }
}
