//! The whole platform as its users meet it: the real `streamio` program, real FFmpeg workers, HTTP from outside.

mod api;
mod clip;
mod crash;
mod life;
mod media;
mod platform;
mod play;
mod workerd;
