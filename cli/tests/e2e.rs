//! The whole platform as its users meet it: the real `streamio` program, real FFmpeg workers, HTTP from outside.

#[path = "e2e/api.rs"]
mod api;
#[path = "e2e/clip.rs"]
mod clip;
#[path = "e2e/crash.rs"]
mod crash;
#[path = "e2e/life.rs"]
mod life;
#[path = "e2e/media.rs"]
mod media;
#[path = "e2e/platform.rs"]
mod platform;
#[path = "e2e/play.rs"]
mod play;
#[path = "e2e/workerd.rs"]
mod workerd;
