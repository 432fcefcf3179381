//! A proof that a commit is in the log, as a file that is verified offline (C2SP `tlog-proof@v1`).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use streamio_events::commit::CommitHash;

use super::{InclusionProof, MAX_PROOF_HASHES, NotProven};
use crate::audit::checkpoint::{Checkpoint, CheckpointError};
use crate::audit::decimal;
use crate::audit::node_hash::NodeHash;
use crate::audit::note::{InvalidNote, MAX_NOTE_BYTES, SignedNote, VerifierKey};

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The maximum size of the extra data, in bytes.
pub const MAX_EXTRA_BYTES: usize = 48 * 1024;

/// The maximum size of a text that is read, in bytes: the checkpoint, the extra data as base64, the hashes, and the words.
pub const MAX_TLOG_PROOF_BYTES: usize =
    MAX_NOTE_BYTES + MAX_EXTRA_BYTES / 3 * 4 + 45 * MAX_PROOF_HASHES + 100;

/// The proof that a commit is in the log, with the signed checkpoint of the tree. What it states is not verified before
/// [`Self::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Data for the application, which no signature covers. Empty if there is none.
    pub extra: Vec<u8>,
    /// The index of the commit in the project's feed, from 0.
    pub index: u64,
    /// The hashes of the siblings on the way from the leaf to the root.
    pub path: Vec<NodeHash>,
    /// The checkpoint.
    pub checkpoint: SignedNote,
}

/// A text that is not a `tlog-proof@v1`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTlogProof {
    /// The text is too long.
    #[error("the proof has {0} bytes; the maximum is {MAX_TLOG_PROOF_BYTES}")]
    Size(usize),
    /// The first line is another one.
    #[error("the first line of a proof is `{HEADER}`")]
    Header,
    /// The extra data is not as it is written.
    #[error("the line `extra` has the base64 of 1 to {MAX_EXTRA_BYTES} bytes, with padding")]
    Extra,
    /// There is no line with the index.
    #[error("there is no line `index` with a decimal number without leading zeros")]
    Index,
    /// A line is not a hash, or there are too many.
    #[error(
        "after the index come up to {MAX_PROOF_HASHES} lines with the base64 of 32 bytes, and an empty line"
    )]
    Path,
    /// The rest of the text is not a checkpoint.
    #[error("the text after the empty line is not a checkpoint")]
    Checkpoint(#[source] CheckpointError),
}

/// Why a proof is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TlogProofError {
    /// The checkpoint is not accepted.
    #[error("the checkpoint of the proof is not accepted")]
    Checkpoint(#[from] CheckpointError),
    /// The hashes do not prove that the commit is in the tree.
    #[error("the commit is not proven to be in the tree of the checkpoint")]
    Inclusion(#[from] NotProven),
}

impl TlogProof {
    /// Verifies that the log whose `keys` are given has this commit at [`Self::index`], and returns the checkpoint.
    pub fn verify(&self, commit: CommitHash, keys: &[VerifierKey]) -> Result<Checkpoint, TlogProofError> {
        let checkpoint = Checkpoint::verify(&self.checkpoint, keys)?;
        let proof = InclusionProof { index: self.index, size: checkpoint.size(), path: self.path.clone() };
        proof.verify(NodeHash::of_leaf(commit.as_bytes()), checkpoint.root())?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(formatter, "extra {}", STANDARD.encode(&self.extra))?;
        }
        writeln!(formatter, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(formatter, "{hash}")?;
        }
        write!(formatter, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = InvalidTlogProof;

    fn from_str(text: &str) -> Result<Self, InvalidTlogProof> {
        if text.len() > MAX_TLOG_PROOF_BYTES {
            return Err(InvalidTlogProof::Size(text.len()));
        }
        let rest = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n'));
        let rest = rest.ok_or(InvalidTlogProof::Header)?;
        let (extra, rest) = read_extra(rest).ok_or(InvalidTlogProof::Extra)?;
        let (index, rest) = rest
            .strip_prefix("index ")
            .and_then(|rest| rest.split_once('\n'))
            .and_then(|(index, rest)| Some((decimal::parse(index)?, rest)))
            .ok_or(InvalidTlogProof::Index)?;
        let (path, checkpoint) = read_path(rest).ok_or(InvalidTlogProof::Path)?;
        let checkpoint: SignedNote =
            checkpoint.parse().map_err(|error: InvalidNote| InvalidTlogProof::Checkpoint(error.into()))?;
        Checkpoint::of_unverified(&checkpoint).map_err(InvalidTlogProof::Checkpoint)?;
        Ok(Self { extra, index, path, checkpoint })
    }
}

fn read_extra(text: &str) -> Option<(Vec<u8>, &str)> {
    let Some(rest) = text.strip_prefix("extra ") else { return Some((Vec::new(), text)) };
    let (extra, rest) = rest.split_once('\n')?;
    let extra = STANDARD.decode(extra).ok()?;
    (1..=MAX_EXTRA_BYTES).contains(&extra.len()).then_some((extra, rest))
}

/// Reads lines with hashes up to an empty line, and returns the text after it.
fn read_path(mut text: &str) -> Option<(Vec<NodeHash>, &str)> {
    let mut path = Vec::new();
    loop {
        let (line, rest) = text.split_once('\n')?;
        text = rest;
        if line.is_empty() {
            return Some((path, text));
        }
        if path.len() == MAX_PROOF_HASHES {
            return None;
        }
        path.push(line.parse().ok()?);
    }
}
