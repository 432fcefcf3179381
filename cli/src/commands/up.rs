//! `streamio up`: the whole platform in this process.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::{Args, ValueEnum};
use serde::Serialize;
use streamio_events::settings::present;
use streamio_local::data_dir::DataDirError;
use streamio_local::platform::{self, Addresses, Config, EdgeFront, Platform};
use streamio_local::workerd::{WorkerJournal, WorkerdConfig};
use tracing_subscriber::EnvFilter;

use super::stopped;
use crate::args::DataDirectory;
use crate::exit::{Exit, Failure};
use crate::output::{Output, quoted};

const EXAMPLES: &str = "\
Examples:
  streamio up                                   # on http://127.0.0.1:8080, data in ./streamio-data
  streamio up --data /var/lib/streamio --port 9000
  streamio up --port 0 --json | head -1         # any free port; prints where it listens
  streamio up --cors-origin https://app.example.com
  cargo xtask edge build && streamio up --edge workerd    # in a checkout: the API as the cloud runs it

With --edge workerd the API is answered by the Worker that is deployed to the cloud, on the same runtime; all else is \
as before. It needs Node.js 20 or later. The Worker asks this process for what it does not know and remembers an API key \
for 10 seconds, up to 60 while it cannot ask: so long may a revoked key still work.

All state is in the data directory. After a crash or `kill -9`, `streamio up` goes on where it was.

FFmpeg 5.1 or later must be installed; STREAMIO_FFMPEG and STREAMIO_FFPROBE name other programs than \
`ffmpeg` and `ffprobe`.

RUST_LOG chooses what is logged, such as RUST_LOG=debug or RUST_LOG=warn,streamio_local=debug.";

/// Run the platform: API, object store, CDN and video processing on this machine
///
/// Runs until Ctrl-C or SIGTERM; what is being processed then goes on with the next start. With --json one line
/// {"api","s3","cdn","dataDir"} is printed when everything is ready.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: DataDirectory,
    /// Port of the API on 127.0.0.1; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value = "8080")]
    port: u16,
    #[arg(
        long,
        value_name = "ORIGIN",
        help = "Web pages that may call the API from a browser, such as https://app.example.com (repeatable; default: all)"
    )]
    cors_origin: Vec<String>,
    /// Videos processed at the same time (default: one for every four cores)
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroUsize>,
    #[command(flatten)]
    edge: EdgeArguments,
    /// Form of the log on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log_format: LogFormat,
    /// Stop when standard input ends, as it does when the process at its other end is gone: for programs that must leave
    /// no platform behind, however they end themselves
    #[arg(long, hide = true)]
    stop_at_stdin_end: bool,
}

/// What answers the API.
#[derive(Debug, Args)]
struct EdgeArguments {
    /// What answers the API
    #[arg(long, value_enum, default_value_t = Edge::Native, value_name = "EDGE")]
    edge: Edge,
    /// Folder of the built Worker, for --edge workerd
    #[arg(long, env = "STREAMIO_EDGE_WORKER", value_name = "DIR", default_value = "target/edge/worker")]
    edge_worker: PathBuf,
    /// When the Worker may answer with a granted URL, for --edge workerd
    #[arg(long, value_enum, default_value_t = EdgeJournal::Home, value_name = "JOURNAL")]
    edge_journal: EdgeJournal,
}

/// What answers the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Edge {
    /// This process.
    Native,
    /// The Worker of the cloud, on workerd.
    Workerd,
}

/// When a grant is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EdgeJournal {
    /// When the log has the grant.
    Home,
    /// When a queue has it, as in the cloud; this one is in memory, and what waits in it is lost when it ends.
    Queue,
}

impl EdgeArguments {
    fn front(&self) -> Result<EdgeFront, Failure> {
        if self.edge == Edge::Native {
            return Ok(EdgeFront::Native);
        }
        let journal = match self.edge_journal {
            EdgeJournal::Home => WorkerJournal::Home,
            EdgeJournal::Queue => WorkerJournal::Queue,
        };
        let found = WorkerdConfig::find(&self.edge_worker, journal);
        found.map(EdgeFront::Workerd).map_err(|error| Failure::new(Exit::Failed, error.to_string(), ""))
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object in a line.
    Json,
}

/// What `--json` prints when everything is ready.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready<'a> {
    #[serde(flatten)]
    addresses: &'a Addresses,
    data_dir: &'a Path,
}

/// Runs the platform until it is asked to stop.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    log_to_stderr(arguments.log_format)?;
    let edge = arguments.edge.front()?;
    for (variable, program) in [("STREAMIO_FFMPEG", "ffmpeg"), ("STREAMIO_FFPROBE", "ffprobe")] {
        check_runs(variable, program).await?;
    }
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("this program cannot find itself: {error}"),
            "start it by its full path",
        )
    })?;
    let config = Config {
        data_dir: arguments.data.path,
        port: arguments.port,
        concurrency: arguments.concurrency.map(NonZeroUsize::get),
        allowed_origins: arguments.cors_origin,
        rate_limit: None,
        worker_command: vec![program.into_os_string(), "__worker".into()],
        edge,
        log_format: match arguments.log_format {
            LogFormat::Text => platform::LogFormat::Text,
            LogFormat::Json => platform::LogFormat::Json,
        },
    };
    let platform = Platform::start(config).await.map_err(|error| not_started(&error))?;
    let data_dir = platform.data_dir().path().to_owned();
    let addresses = platform.addresses().clone();
    output
        .answer(&Ready { addresses: &addresses, data_dir: &data_dir }, || welcome(&addresses, &data_dir))?;
    let shutdown = async {
        tokio::select! {
            () = stopped() => {}
            () = stdin_end(), if arguments.stop_at_stdin_end => {}
        }
        output.note("Stopping; Ctrl-C once more ends it at once");
    };
    let impatient = async {
        stopped().await;
        stopped().await;
    };
    tokio::select! {
        () = platform.run_until(shutdown) => Ok(()),
        () = impatient => Err(Failure::new(
            Exit::Interrupted,
            "ended at once",
            "what was being processed goes on with the next `streamio up`",
        )),
    }
}

/// Without FFmpeg every video would end in an error: better to say so before the first one is uploaded.
async fn check_runs(variable: &str, program: &str) -> Result<(), Failure> {
    let program = std::env::var(variable).ok().and_then(present).unwrap_or_else(|| program.to_owned());
    let mut command = tokio::process::Command::new(&program);
    command.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let why = match command.status().await {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Err(Failure::new(
        Exit::Failed,
        format!("`{program}` does not run: {why}"),
        format!(
            "install FFmpeg (such as `apt-get install ffmpeg` or `brew install ffmpeg`), or name it in {variable}"
        ),
    ))
}

/// Completes when standard input ends.
async fn stdin_end() {
    let (sender, ended) = tokio::sync::oneshot::channel();
    // A thread of its own: a read of standard input cannot be cancelled, and Tokio would wait for one of its own.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(());
    });
    let _ = ended.await;
}

fn log_to_stderr(format: LogFormat) -> Result<(), Failure> {
    let filter =
        EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new("info,s3s=warn,aws_config=warn"));
    let filter = filter
        .map_err(|error| Failure::usage(format!("RUST_LOG is wrong: {error}"), "see `streamio up --help`"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let outcome = match format {
        LogFormat::Text => builder.with_ansi(crate::output::watched()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    outcome.map_err(|error| Failure::new(Exit::Failed, format!("logging cannot begin: {error}"), ""))
}

fn not_started(error: &anyhow::Error) -> Failure {
    match error.downcast_ref::<DataDirError>() {
        Some(DataDirError::InUse(path)) => Failure::new(
            Exit::Failed,
            format!("a platform is running on {} already", path.display()),
            "use that one, stop it, or choose another directory with --data",
        ),
        _ => Failure::new(Exit::Failed, format!("the platform did not start: {error:#}"), ""),
    }
}

fn welcome(addresses: &Addresses, data_dir: &Path) -> String {
    let Addresses { api, s3, cdn } = addresses;
    let (shown, data_dir) = (data_dir.display(), quoted(&data_dir.display().to_string()));
    format!(
        "Streamio is running.

  API           {api}
  Object store  {s3}
  CDN           {cdn}
  Data          {shown}

In another terminal:
  streamio project create acme --data {data_dir}
  export STREAMIO_URL={api} STREAMIO_API_KEY=…      # the key that it printed
  streamio upload clip.mp4 --wait

Ctrl-C stops it."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_says_where_it_is_and_what_comes_next() {
        let addresses = Addresses {
            api: "http://127.0.0.1:8080".to_owned(),
            s3: "http://127.0.0.1:40001".to_owned(),
            cdn: "http://127.0.0.1:40002".to_owned(),
        };
        insta::assert_snapshot!(welcome(&addresses, Path::new("/srv/streamio-data")));
        let ready = Ready { addresses: &addresses, data_dir: Path::new("/srv/streamio-data") };
        insta::assert_snapshot!(serde_json::to_string(&ready).unwrap(), @r#"{"api":"http://127.0.0.1:8080","s3":"http://127.0.0.1:40001","cdn":"http://127.0.0.1:40002","dataDir":"/srv/streamio-data"}"#);
    }
}
