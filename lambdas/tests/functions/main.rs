//! The functions, invoked with events in the form of AWS.

mod events;
mod queue;
mod react;
mod replays;
mod sweep;
mod tasks;
mod uploads;
mod webhooks;
