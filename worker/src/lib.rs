//! The FFmpeg worker: runs one attempt, encodes its source into adaptive streams and publishes them.
//!
//! ```text
//! run ─ start (fence) ─ probe ─ plan ─ transcode ─ complete (fence) ─ publish ─ ready
//!                         │       │        │
//!                       relay  ladder    argv ─▶ FFmpeg ─▶ segments, MP4 ─▶ upload, progressive ─▶ storage
//! ```
//!
//! A fence is an append that fails when another worker has taken the attempt; this worker then stops. `relay` serves the source to
//! FFmpeg over loopback, `ladder` lists the output sizes.
//!
//! [`argv`], [`ladder`], [`plan`] and [`playlist`] are pure functions: no I/O, no processes. [`storage`] holds the ports to
//! object storage and their S3 adapter. FFmpeg is reached only through [`process`] (its process) and [`relay`] (its input), and
//! runs in a [`sandbox`].

pub mod argv;
pub mod attempt;
pub mod capabilities;
pub mod codecs;
pub mod diagnosis;
mod event_log;
pub mod exit_code;
pub mod failure;
pub mod frame_rate;
pub mod ladder;
mod main_from_env;
pub mod plan;
pub mod playlist;
pub mod probe;
pub mod process;
pub mod progressive;
pub mod publish;
pub mod relay;
pub mod run;
pub mod sandbox;
pub mod settings;
pub mod stop;
pub mod storage;
mod task_name;
pub mod tools;
pub mod transcode;
pub mod upload;

pub use main_from_env::main_from_env;
