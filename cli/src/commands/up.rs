//! `streamio up`: runs the platform in this process.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::{Args, ValueEnum};
use serde::Serialize;
use streamio_events::limits::Limit;
use streamio_events::settings::present;
use streamio_events::webhook::endpoint_url::Rules;
use streamio_local::data_dir::DataDirError;
use streamio_local::platform::{self, Addresses, CheckpointIntervals, Config, EdgeRuntime, Platform};
use streamio_local::workerd::{WorkerJournal, WorkerdConfig};

use crate::args::DataDirectory;
use crate::exit::{Exit, Failure};
use crate::limits::{LIMIT_HELP, limit, project_limits};
use crate::logging::{self, LogFormat};
use crate::output::{Output, quoted};
use crate::permissions::data_directory_failure;
use crate::signals::stop_requested;

const EXAMPLES: &str = "\
Examples:
  streamio up                                   # on http://127.0.0.1:8080, data in ./streamio-data
  streamio up --data /var/lib/streamio --port 9000
  streamio up --port 0 --json | head -1         # any free port; prints the addresses
  streamio up --cors-origin https://app.example.com
  cargo xtask edge build && streamio up --edge workerd    # in a checkout: the API on workerd

With --edge workerd the API is served by the Cloudflare Worker that is deployed to the cloud, on the same runtime \
(workerd). This needs Node.js 20 or later. The Worker gets its data from this process and caches API keys: a revoked key \
may still work for 10 seconds, or for 60 seconds while the Worker cannot reach this process.

All state is in the data directory. After a crash or `kill -9`, start `streamio up` again: it continues where it stopped.

FFmpeg 5.1 or later must be installed. STREAMIO_FFMPEG and STREAMIO_FFPROBE set other programs than `ffmpeg` and \
`ffprobe`.

RUST_LOG sets the log level, such as RUST_LOG=debug or RUST_LOG=warn,streamio_local=debug. With --quiet only errors are \
logged.";

/// Run the platform: API, object store, CDN and video processing on this machine
///
/// Runs until Ctrl-C or SIGTERM. Videos that are being processed then continue with the next start. With --json it prints
/// one line {"api","s3","cdn","dataDir"} when everything is ready.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: DataDirectory,
    /// Port of the API on 127.0.0.1; 0 selects a free one
    #[arg(long, value_name = "PORT", default_value = "8080")]
    port: u16,
    #[arg(
        long,
        value_name = "ORIGIN",
        value_parser = origin,
        help = "Origin whose web pages may call the API and play with cookies, such as https://app.example.com (repeatable; default: all may call the API, none may play with cookies)"
    )]
    cors_origin: Vec<String>,
    /// Number of videos processed at the same time (default: one per four cores)
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroUsize>,
    #[arg(long, value_name = "NAME=VALUE", value_parser = limit, help = LIMIT_HELP)]
    limit: Vec<(&'static str, Limit)>,
    #[command(flatten)]
    webhooks: WebhookArguments,
    #[command(flatten)]
    edge: EdgeArguments,
    /// Format of the log on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log_format: LogFormat,
    /// Stop at the end of standard input, so that a program that starts the platform leaves none running, even if it is
    /// killed
    #[arg(long, hide = true)]
    stop_at_stdin_end: bool,
}

/// Options of webhooks.
#[derive(Debug, Args)]
struct WebhookArguments {
    /// Also send webhooks to this machine: http and https URLs of localhost and of loopback addresses, with any port. For development: every
    /// tenant can then send requests to the programs on this machine
    #[arg(long)]
    webhook_loopback: bool,
    /// Also send webhooks to this port (repeatable; default: 443 and 8443)
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    webhook_port: Vec<u16>,
}

impl WebhookArguments {
    fn rules(&self) -> Rules {
        let mut rules = Rules { loopback: self.webhook_loopback, ..Rules::default() };
        rules.ports.extend(&self.webhook_port);
        rules
    }
}

/// Options of the edge.
#[derive(Debug, Args)]
struct EdgeArguments {
    /// Implementation of the API
    #[arg(long, value_enum, default_value_t = Edge::Native, value_name = "EDGE")]
    edge: Edge,
    /// Directory of the built Worker, for --edge workerd
    #[arg(long, env = "STREAMIO_EDGE_WORKER", value_name = "DIR", default_value = "target/edge/worker")]
    edge_worker: PathBuf,
    /// Where the Worker records a grant before it returns the URL, for --edge workerd
    #[arg(long, value_enum, default_value_t = EdgeJournal::Home, value_name = "JOURNAL")]
    edge_journal: EdgeJournal,
}

/// Implementation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Edge {
    /// In this process.
    Native,
    /// The Cloudflare Worker, on workerd.
    Workerd,
}

/// An origin as browsers send it.
fn origin(text: &str) -> Result<String, String> {
    let serialized = url::Url::parse(text).ok().map(|url| url.origin().ascii_serialization());
    if serialized.is_some_and(|origin| origin == text) {
        Ok(text.to_owned())
    } else {
        Err("must be scheme://host or scheme://host:port, in lower case and without a slash at the end"
            .to_owned())
    }
}

/// Where a grant is recorded before its URL is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EdgeJournal {
    /// In the event log.
    Home,
    /// In a queue, as in the cloud. This queue is in memory: its grants are lost when the platform ends.
    Queue,
}

impl EdgeArguments {
    fn runtime(&self) -> Result<EdgeRuntime, Failure> {
        if self.edge == Edge::Native {
            return Ok(EdgeRuntime::Native);
        }
        let journal = match self.edge_journal {
            EdgeJournal::Home => WorkerJournal::Home,
            EdgeJournal::Queue => WorkerJournal::Queue,
        };
        let config = WorkerdConfig::find(&self.edge_worker, journal);
        config.map(EdgeRuntime::Workerd).map_err(|error| Failure::new(Exit::Failed, error.to_string(), ""))
    }
}

/// The output of `--json` when everything is ready.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready<'a> {
    #[serde(flatten)]
    addresses: &'a Addresses,
    data_dir: &'a Path,
}

/// Runs the platform until it receives a stop signal.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    logging::start(arguments.log_format, output.quiet)?;
    let edge = arguments.edge.runtime()?;
    for (variable, program) in [("STREAMIO_FFMPEG", "ffmpeg"), ("STREAMIO_FFPROBE", "ffprobe")] {
        check_program(variable, program).await?;
    }
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("cannot determine the path of this program: {error}"),
            "start it by its full path",
        )
    })?;
    let config = Config {
        data_dir: arguments.data.path,
        port: arguments.port,
        concurrency: arguments.concurrency.map(NonZeroUsize::get),
        allowed_origins: arguments.cors_origin,
        rate_limits: None,
        project_limits: project_limits(&arguments.limit),
        webhook_urls: arguments.webhooks.rules(),
        checkpoint_intervals: CheckpointIntervals::default(),
        worker_command: worker_command(program, output),
        edge,
        log_format: match arguments.log_format {
            LogFormat::Text => platform::LogFormat::Text,
            LogFormat::Json => platform::LogFormat::Json,
        },
    };
    let requested = config.data_dir.clone();
    // All files of the platform and of its children can be accessed by their owner only, whatever the shell's umask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let platform = Platform::start(config).await.map_err(|error| start_failure(&error, &requested))?;
    let data_dir = platform.data_dir().path().to_owned();
    let addresses = platform.addresses().clone();
    output.result(&Ready { addresses: &addresses, data_dir: &data_dir }, || {
        let guidance = output.guidance(next_steps(&addresses, &data_dir));
        format!("{}{guidance}", ready_message(&addresses, &data_dir))
    })?;
    let shutdown = async {
        tokio::select! {
            () = stop_requested() => {}
            () = stdin_closed(), if arguments.stop_at_stdin_end => {}
        }
        output.note("Stopping; press Ctrl-C again to stop immediately");
    };
    let second_signal = async {
        stop_requested().await;
        stop_requested().await;
    };
    tokio::select! {
        () = platform.run_until(shutdown) => Ok(()),
        () = second_signal => Err(Failure::new(
            Exit::Interrupted,
            "stopped immediately",
            "videos that were being processed continue with the next `streamio up`",
        )),
    }
}

/// Checks that a program can be started. Without FFmpeg the processing of every video would fail.
async fn check_program(variable: &str, program: &str) -> Result<(), Failure> {
    let program = std::env::var(variable).ok().and_then(present).unwrap_or_else(|| program.to_owned());
    let mut command = tokio::process::Command::new(&program);
    command.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let reason = match command.status().await {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Err(Failure::new(
        Exit::Failed,
        format!("`{program}` cannot be run: {reason}"),
        format!(
            "install FFmpeg (for example `apt-get install ffmpeg` or `brew install ffmpeg`), or set {variable} to its path"
        ),
    ))
}

/// Completes at the end of standard input.
async fn stdin_closed() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // On a separate thread: a read of standard input cannot be cancelled, and Tokio would wait for its own threads.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(());
    });
    let _ = receiver.await;
}

/// The command of a worker. With `--quiet` it is as quiet as this process.
fn worker_command(program: PathBuf, output: Output) -> Vec<OsString> {
    let mut command = vec![program.into_os_string(), "__worker".into()];
    if output.quiet {
        command.push("--quiet".into());
    }
    command
}

fn start_failure(error: &anyhow::Error, data_dir: &Path) -> Failure {
    match error.downcast_ref::<DataDirError>() {
        Some(DataDirError::InUse(path)) => Failure::new(
            Exit::Failed,
            format!("a platform is already running on {}", path.display()),
            "use it, stop it, or choose another directory with --data",
        ),
        _ => data_directory_failure(data_dir).unwrap_or_else(|| {
            Failure::new(Exit::Failed, format!("the platform did not start: {error:#}"), "")
        }),
    }
}

fn ready_message(addresses: &Addresses, data_dir: &Path) -> String {
    let Addresses { api, s3, cdn } = addresses;
    let data_dir = data_dir.display();
    format!(
        "Streamio is running.

  API           {api}
  Object store  {s3}
  CDN           {cdn}
  Data          {data_dir}"
    )
}

fn next_steps(Addresses { api, .. }: &Addresses, data_dir: &Path) -> String {
    let data_dir = quoted(&data_dir.display().to_string());
    format!(
        "

In another terminal:
  streamio project create acme --data {data_dir}
  export STREAMIO_URL={api} STREAMIO_API_KEY=…      # the key that was printed
  streamio upload clip.mp4 --wait

Press Ctrl-C to stop."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_message_has_the_addresses_and_the_next_steps() {
        let addresses = Addresses {
            api: "http://127.0.0.1:8080".to_owned(),
            s3: "http://127.0.0.1:40001".to_owned(),
            cdn: "http://127.0.0.1:40002".to_owned(),
        };
        let directory = Path::new("/srv/streamio-data");
        let text = format!("{}{}", ready_message(&addresses, directory), next_steps(&addresses, directory));
        insta::assert_snapshot!(text);
        let ready = Ready { addresses: &addresses, data_dir: Path::new("/srv/streamio-data") };
        insta::assert_snapshot!(serde_json::to_string(&ready).unwrap(), @r#"{"api":"http://127.0.0.1:8080","s3":"http://127.0.0.1:40001","cdn":"http://127.0.0.1:40002","dataDir":"/srv/streamio-data"}"#);
    }
}
