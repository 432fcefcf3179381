//! The platform on one machine: one process, with a child process for each video that is processed.
//!
//! All state is in one directory. The code is the same as in the cloud, with other adapters:
//!
//! | module | contents |
//! |---|---|
//! | [`platform`] | starts and stops everything below |
//! | [`s3`] | the object store: the S3 protocol, with its signatures |
//! | [`cdn`] | the CDN, which checks CloudFront's signatures |
//! | [`workerd`] | the API as the Cloudflare Worker, instead of natively |
//! | [`home`] | the home region, for the Worker |
//! | [`data_dir`] | the data directory: the event log, the views, the objects, the secrets |
//! | [`operator`] | an operator's commands on the data directory, also from another process |
//! | [`backup`] | backing up a data directory, and restoring it |
//! | [`audit_check`] | what a tenant checks of its transparency log: an export, and a new checkpoint against a kept one |
//! | `uploads` | records the event notifications of the object store |
//! | `changes`, `feed` | what changed in the log, and the delivery to consumers |
//! | [`export`] | writing the log to a file |
//! | [`log_bound`] | the bounds of a part of the log |
//! | `lock_file` | files whose lock states that a process does something |
//! | [`progress`] | the progress of these, which can be stopped |
//! | [`replay`] | rebuilding a view beside the live one, and comparing them |
//! | `reactions` | the consumers: status views, reactions; the sweep |
//! | `view_store`, `tenants`, `project_feed` | status rows in SQLite, API keys, the projects' feeds |
//! | `webhooks` | sends the messages to webhook endpoints that are due |
//! | `audit_log` | integrates commits into the projects' transparency logs, whose tiles and checkpoints are files |
//! | `intake` | records facts that the Worker sends |
//! | `health` | what `GET /healthz` says of the object store and of outages |
//! | `outage` | the alarm when attempts are interrupted one after another |
//! | `runner` | workers as child processes |

mod api;
pub mod audit_check;
mod audit_log;
pub mod backup;
pub mod cdn;
mod changes;
mod clock;
pub mod data_dir;
pub mod export;
mod feed;
mod health;
pub mod home;
mod http_server;
mod intake;
mod lock_file;
pub mod log_bound;
mod logged_path;
mod objects;
pub mod operator;
mod outage;
mod outbound;
pub mod platform;
pub mod progress;
mod project_feed;
mod reactions;
pub mod replay;
mod runner;
pub mod s3;
mod secrets;
mod tenants;
#[cfg(feature = "testing")]
pub mod testing;
mod uploads;
mod view_store;
mod webhooks;
pub mod workerd;

/// Runs one FFmpeg worker, configured by its environment. A program that runs the platform calls this when it is started by
/// [`platform::Config::worker_command`].
///
/// The worker starts the same program again for each FFmpeg: its `main` must call [`run_if_worker_launcher`] before anything else.
pub use streamio_worker::main_from_env as worker_main;
/// Acts as the launcher of a worker's FFmpeg if this process was started as one.
pub use streamio_worker::sandbox::run_if_launcher as run_if_worker_launcher;
