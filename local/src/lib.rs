//! The whole platform in one process.
//!
//! It runs the API of the edge (natively, or as the Worker of the cloud: [`workerd`]), an object store that speaks the S3 protocol and checks its signatures ([`s3`]), a CDN
//! that enforces CloudFront's ([`cdn`]), the event log in one file, the reactions and views of the cloud, and FFmpeg
//! workers as child processes, all on one directory. The same code paths as in the cloud, with other adapters:
//! [`platform`] puts them together, [`operator`] works on the same directory from another process.

mod api;
pub mod cdn;
mod changes;
mod clock;
pub mod data_dir;
mod feed;
pub mod home;
mod http_server;
mod intake;
mod objects;
pub mod operator;
mod outbound;
pub mod platform;
mod project_feed;
mod reactions;
mod runner;
pub mod s3;
mod secrets;
mod tenants;
mod uploads;
mod view_store;
pub mod workerd;

/// The whole life of one FFmpeg worker, as its environment describes it. A program that runs the platform calls this
/// when it is started as [`platform::Config::worker_command`].
pub use streamio_worker::main_from_env as worker_main;
