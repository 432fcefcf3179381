//! The functions, invoked with events in the form of AWS.

mod events;
mod queue;
mod react;
mod sweep;
mod tasks;
mod uploads;
mod webhooks;
