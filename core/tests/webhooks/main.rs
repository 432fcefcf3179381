//! Webhooks on a region in memory, with a clock that the tests set: the real scheduling, delivering and views.

mod deliveries;
mod endpoints;
mod harness;
mod signatures;
