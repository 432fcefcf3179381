//! The API as its clients see it: requests and responses, with all ports in memory.

mod answer;
mod bad_requests;
mod browsers;
mod cdn;
mod config;
mod description;
mod failures;
mod fuzz;
mod isolation;
mod limits;
mod networks;
mod openapi;
mod play;
mod playback;
mod ports;
mod ready_video;
mod repeating;
mod secrets;
mod test_edge;
mod upload;
mod urls;
mod usage;
mod videos;
mod webhook_home;
mod webhooks;
