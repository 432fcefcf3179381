//! The API as its callers see it: requests in, answers out, over ports that live in memory.

#[path = "api/bad_requests.rs"]
mod bad_requests;
#[path = "api/browsers.rs"]
mod browsers;
#[path = "api/description.rs"]
mod description;
#[path = "api/failures.rs"]
mod failures;
#[path = "api/fuzz.rs"]
mod fuzz;
#[path = "api/isolation.rs"]
mod isolation;
#[path = "api/limits.rs"]
mod limits;
#[path = "api/openapi.rs"]
mod openapi;
#[path = "api/playback.rs"]
mod playback;
#[path = "api/ports.rs"]
mod ports;
#[path = "api/repeating.rs"]
mod repeating;
#[path = "api/secrets.rs"]
mod secrets;
#[path = "api/upload.rs"]
mod upload;
#[path = "api/urls.rs"]
mod urls;
#[path = "api/videos.rs"]
mod videos;
#[path = "api/world.rs"]
mod world;
