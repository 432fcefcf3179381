//! A part of an export: the commits of a range of positions.

use std::ops::ControlFlow;

use streamio_events::log::ReadError;
use streamio_events::sqlite::{DamagedCommit, StoredCommit, StoredReader};

use super::chain::Link;
use super::lines::{Lines, Packed};
use super::options::{ExportOptions, Format};

/// The commits of a range of positions.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Their lines.
    pub(super) lines: Packed,
    /// The commits, in order.
    pub(super) links: Vec<Link>,
    /// The damaged commit after them.
    pub(super) damaged: Option<DamagedCommit>,
}

impl Chunk {
    /// Reads and encodes the commits after the position `after` up to `until`.
    pub(super) fn read(
        reader: &StoredReader,
        after: u64,
        until: u64,
        options: &ExportOptions,
    ) -> Result<Self, ReadError> {
        let (mut lines, mut chain, mut damaged) = (Lines::default(), Vec::new(), None);
        reader.positions(after, until, |commit| {
            let stream = commit.as_ref().map_or_else(|damaged| &*damaged.stream, |commit| commit.stream);
            if !options.has_stream_of_name(stream) {
                return ControlFlow::Continue(());
            }
            match commit.and_then(|commit| add(&mut lines, &commit, options.format)) {
                Ok(link) => {
                    chain.push(link);
                    ControlFlow::Continue(())
                }
                Err(found) => {
                    damaged = Some(found);
                    ControlFlow::Break(())
                }
            }
        })?;
        Ok(Self { lines: lines.pack(options.compression), links: chain, damaged })
    }
}

fn add(lines: &mut Lines, stored: &StoredCommit<'_>, format: Format) -> Result<Link, DamagedCommit> {
    let link = Link::of(stored)?;
    lines
        .add(&stored.commit()?, format)
        .map_err(|error| stored.damaged(format!("it cannot be encoded: {error}")))?;
    Ok(link)
}
