//! `streamio events export`: writes the log to a file or standard output.

#[cfg(feature = "aws")]
mod aws;
mod source;

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, BufWriter};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;
use streamio_events::id::ProjectId;
use streamio_local::export::{
    Compression, ExportOptions, ExportSummary, FileTarget, Format, Output as Plain,
};
use streamio_local::log_bound::LogBound;
use streamio_local::operator::IfMissing;
use streamio_local::progress::Progress;

use self::source::{NotExported, Source};
use super::progress::with_progress;
use crate::args::Target;
use crate::commands::platform::Platform;
use crate::exit::{Exit, Failure};
use crate::output::{Output, unwritable};

pub(super) const HELP: &str = "\
Examples:
  streamio events export --output events.jsonl.zst
  streamio events export --output events.jsonl.zst --resume     # after an interruption
  streamio events export --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --compress gzip > january.jsonl.gz
  streamio events export --format commits --output archive.jsonl
  streamio events export --format commits --project acme --output acme.jsonl.zst     # for acme
  streamio events export --aws --to 2026-02-01T00:00:00Z --output events.jsonl.zst

A line is a CloudEvent, or with `--format commits` a commit with its hashes, so that an archive can be verified later (`streamio audit check-export`). \
Every commit's hash is checked. The log is read and encoded in parallel. \
An export has what all tenants did, in the form in which it is stored; `--project` limits it to one. \
The file is written as FILE.partial and renamed when it is complete; an earlier FILE is replaced. `--resume` checks that what is there is the beginning of the export, and \
appends the rest: the bytes are those of an export that was not interrupted. It also brings a complete file to the end of the log.

On AWS the whole table is read, in four parts at the same time. Only the commits of one stream are in their order, and there are no positions: \
`--from` and `--to` take times. `--resume` needs a time in `--to` that has passed, because later commits are among the earlier ones.";

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Write to this file, which is created or replaced when the export is complete (default: standard output)
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What a line is
    #[arg(long, value_name = "FORMAT", default_value = "cloudevents")]
    format: LineFormat,
    /// Only the events of this project
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectId>,
    /// Compression (default: by the name of the file, `.gz` or `.zst`)
    #[arg(long, value_name = "METHOD")]
    compress: Option<Method>,
    /// Continue an export to the same file that was interrupted
    #[arg(long, requires = "output")]
    resume: bool,
    /// Only events that were recorded at this time or later, or from this position in the log on (on AWS only a time)
    #[arg(long, value_name = "TIME|POSITION")]
    from: Option<LogBound>,
    /// Only events that were recorded before this time, or up to this position in the log (on AWS only a time)
    #[arg(long, value_name = "TIME|POSITION")]
    to: Option<LogBound>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LineFormat {
    /// Events as CloudEvents 1.0
    #[value(name = "cloudevents")]
    CloudEvents,
    /// Complete commits with their chained hashes
    Commits,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Method {
    None,
    Gzip,
    Zstd,
}

/// Runs `streamio events export`.
pub(super) async fn run(arguments: Export, output: Output) -> Result<(), Failure> {
    let Export { output: path, format, project, compress, resume, from, to, target } = arguments;
    let compression = match compress {
        Some(Method::None) => Compression::None,
        Some(Method::Gzip) => Compression::Gzip,
        Some(Method::Zstd) => Compression::Zstd,
        None => path.as_deref().map(Compression::of_name).unwrap_or_default(),
    };
    let format = match format {
        LineFormat::CloudEvents => Format::CloudEvents,
        LineFormat::Commits => Format::Commits,
    };
    let options = ExportOptions { format, compression, project_id: project, from, to, threads: None };
    let source = Source::new(Platform::open(&target, IfMissing::Fail).await?, options, resume)?;
    let Some(path) = path else {
        let progress = Arc::new(Progress::default());
        return print_outcome(source.export(Plain(BufWriter::new(io::stdout())), progress).await);
    };
    let summary = to_file(&source, &path, resume, compression, output).await?;
    output.result(&Written { file: &path, summary: &summary }, || {
        let ExportSummary { commits, events, .. } = summary;
        format!("Wrote {events} events in {commits} commits to {}", path.display())
    })
}

/// The result of a written file.
#[derive(Debug, Serialize)]
struct Written<'a> {
    file: &'a Path,
    #[serde(flatten)]
    summary: &'a ExportSummary,
}

/// Writes to a file beside `path` first, so that `path` always is a complete export.
async fn to_file(
    source: &Source,
    path: &Path,
    resume: bool,
    compression: Compression,
    output: Output,
) -> Result<ExportSummary, Failure> {
    let failed = |error: &io::Error| {
        Failure::new(
            Exit::Failed,
            format!("cannot write {}: {error}", path.display()),
            "choose another --output",
        )
    };
    let partial = partial_of(path);
    if !resume && partial.exists() {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} exists: an earlier export was interrupted", partial.display()),
            "continue it with --resume, or remove the file",
        ));
    }
    let is_new = !partial.exists();
    // Until the file has its name.
    let _lock = lock(&partial).map_err(|error| failed(&error))?.ok_or_else(|| in_use(&partial))?;
    if resume && is_new && path.exists() {
        fs::copy(path, &partial).map_err(|error| failed(&error))?;
    }
    let target = FileTarget::open(&partial, compression).map_err(|error| failed(&error))?;
    let progress = Arc::new(Progress::default());
    let exporting = source.export(target, Arc::clone(&progress));
    let exported = with_progress(output, "Exporting", &progress, exporting).await;
    let summary = exported.map_err(|error| match error {
        NotExported::OtherContent(error) => Failure::new(
            Exit::Failed,
            format!("{}: {error}", partial.display()),
            format!("remove {} and export again without --resume", partial.display()),
        ),
        NotExported::Stopped => Failure::new(
            Exit::Interrupted,
            "the export was interrupted",
            "the same command with --resume continues it",
        ),
        NotExported::Write(error) => failed(&error),
        NotExported::Failed(failure) => failure,
    })?;
    fs::rename(&partial, path).map_err(|error| failed(&error))?;
    Ok(summary)
}

/// Locks the file that an export is first written to, which is made if it does not exist; `None` if another export has locked it, or has given
/// it its name meanwhile.
fn lock(partial: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(partial)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let locked = file.metadata()?;
    let is_same = |named: Metadata| (named.dev(), named.ino()) == (locked.dev(), locked.ino());
    Ok(fs::metadata(partial).is_ok_and(is_same).then_some(file))
}

fn in_use(partial: &Path) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("another export writes {}", partial.display()),
        "wait for its end, or choose another --output",
    )
}

/// The file that an export to `path` is first written to.
fn partial_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// The outcome of printing to standard output. A closed pipe (`| head`) is not a failure.
fn print_outcome(outcome: Result<ExportSummary, NotExported>) -> Result<(), Failure> {
    match outcome {
        Err(NotExported::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(NotExported::Write(error)) => Err(unwritable(&error)),
        outcome => outcome.map(drop).map_err(NotExported::into_failure),
    }
}
