//! The client of the home region against a scripted one that fails in every way.

mod calls;
mod responses;
mod scripted_region;
mod statuses;
