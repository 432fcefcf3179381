//! Webhooks: the endpoints of a project, the messages about its videos, and their deliveries.
//!
//! | module | contents |
//! |---|---|
//! | [`endpoint_url`], [`address`] | which URLs and addresses messages are sent to |
//! | [`message_type`] | the types of messages, and patterns that select them |
//! | [`message`] | which messages an event leads to, and their bodies |
//! | [`endpoint`] | endpoints, folded from `webhooks/{project}`, and the decisions about them |
//! | [`delivery`] | the delivery of one message to one endpoint: fold and decisions |
//! | [`replay`] | jobs that send messages to an endpoint again: fold and decisions |
//! | [`exchange`] | what one attempt resulted in |
//! | [`schedule`] | when attempts are made |
//! | [`status`] | what a tenant sees of endpoints and deliveries |
//!
//! A message is made of an event of a video's stream. It has the same id and the same bytes for all endpoints and attempts. For each
//! endpoint that receives its type, a stream `delivery/{project}/{webhook}/{message}` records that it is due and how each attempt ended.

pub mod address;
pub mod delivery;
pub mod endpoint;
pub mod endpoint_url;
pub mod exchange;
pub mod message;
pub mod message_type;
pub mod replay;
pub mod schedule;
pub mod status;

pub use self::delivery::{Delivery, DeliveryState, ScheduleCause};
pub use self::endpoint::{DisabledReason, Endpoint, Endpoints};
pub use self::message::Message;
pub use self::message_type::{MessageType, TypePattern};
