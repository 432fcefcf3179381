//! The API as its callers see it: requests in, answers out, over ports that live in memory.

mod bad_requests;
mod browsers;
mod description;
mod failures;
mod fuzz;
mod isolation;
mod limits;
mod openapi;
mod playback;
mod ports;
mod repeating;
mod secrets;
mod upload;
mod urls;
mod videos;
mod world;
