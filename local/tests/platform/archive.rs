//! Exports of complete commits.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use streamio_local::export::{self, Compression, ExportOptions, FileTarget, Format};
use streamio_local::operator::Operator;
use streamio_local::progress::Progress;

/// All commits of the log, one in JSON a line.
pub(crate) async fn archive(operator: &Operator, scratch: &Path) -> String {
    let path = scratch.join("archive.jsonl.zst");
    let options =
        ExportOptions { format: Format::Commits, compression: Compression::Zstd, ..ExportOptions::default() };
    let to = FileTarget::open(&path, options.compression).unwrap();
    operator.export(options, to, Arc::new(Progress::default())).await.unwrap();
    let mut text = String::new();
    export::open(&path).unwrap().read_to_string(&mut text).unwrap();
    text
}
