//! Checkpoints: the size and root of a log's tree (C2SP `tlog-checkpoint`), as a signed note.
//!
//! The origin of a project's log is `<host>/<project>`, and the name of its key is the origin.

use std::fmt;
use std::str::FromStr;

use super::decimal;
use super::node_hash::NodeHash;
use super::note::{InvalidNote, NoteError, NoteSigner, SignedNote, VerifierKey};

/// The size and root of a log's tree. Its text form is the text of the note: an origin, a size and a root, each in its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: NodeHash,
    extensions: Vec<String>,
}

/// A text that is not a checkpoint, or values that cannot be in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCheckpoint {
    /// The origin could not be a line.
    #[error("the origin is one line, not empty and without control characters")]
    Origin,
    /// The size is not a number.
    #[error(
        "the second line of a checkpoint is the size of the tree, a decimal number without leading zeros"
    )]
    Size,
    /// The root is not a hash.
    #[error("the third line of a checkpoint is the root, the base64 of 32 bytes")]
    Root,
    /// A tree without leaves has one root only.
    #[error("the root of a tree without leaves is {}", NodeHash::EMPTY_TREE)]
    EmptyTree,
    /// An extension line is empty or has a control character, or the last line has no newline.
    #[error("every line of a checkpoint has text without control characters and ends in a newline")]
    Lines,
}

/// Why a checkpoint is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is not a signed note.
    #[error(transparent)]
    Form(#[from] InvalidNote),
    /// The note's text is not a checkpoint.
    #[error(transparent)]
    Text(#[from] InvalidCheckpoint),
    /// The note is not verified.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Known keys have signed it, but none of them belongs to the log.
    #[error("the checkpoint is not signed by a known key with the name of its origin, {0:?}")]
    NotSignedByOrigin(String),
}

impl Checkpoint {
    /// The checkpoint of a tree.
    pub fn new(origin: impl Into<String>, size: u64, root: NodeHash) -> Result<Self, InvalidCheckpoint> {
        let origin = origin.into();
        if origin.is_empty() || origin.bytes().any(|byte| byte < b' ') {
            return Err(InvalidCheckpoint::Origin);
        }
        if size == 0 && root != NodeHash::EMPTY_TREE {
            return Err(InvalidCheckpoint::EmptyTree);
        }
        Ok(Self { origin, size, root, extensions: Vec::new() })
    }

    /// The identity of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> NodeHash {
        self.root
    }

    /// The lines after the root, whose meaning is not defined. Our checkpoints have none.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Signs the checkpoint. Every checkpoint of a log that is signed must be consistent with each one that was signed before.
    pub fn sign(&self, signers: &[&NoteSigner]) -> Result<SignedNote, InvalidNote> {
        SignedNote::sign(self.to_string(), signers)
    }

    /// Verifies a signed checkpoint. It must be signed by one at least of the `keys` that has the name of its origin. Signatures of
    /// keys that are not given are ignored; a wrong signature of a key that is given makes the checkpoint invalid.
    pub fn verify(note: &SignedNote, keys: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let (text, signed_by) = note.verify(keys)?;
        let checkpoint: Self = text.parse()?;
        if signed_by.iter().any(|key| key.name() == checkpoint.origin) {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::NotSignedByOrigin(checkpoint.origin))
        }
    }

    /// The checkpoint that a note states, whether or not its signatures are valid.
    pub(super) fn of_unverified(note: &SignedNote) -> Result<Self, CheckpointError> {
        Ok(note.unverified_text().parse()?)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root, extensions } = self;
        write!(formatter, "{origin}\n{size}\n{root}\n")?;
        extensions.iter().try_for_each(|line| writeln!(formatter, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = InvalidCheckpoint;

    fn from_str(text: &str) -> Result<Self, InvalidCheckpoint> {
        let mut lines = text.strip_suffix('\n').ok_or(InvalidCheckpoint::Lines)?.split('\n');
        let origin = lines.next().unwrap_or_default();
        let size = lines.next().and_then(decimal::parse).ok_or(InvalidCheckpoint::Size)?;
        let root = lines.next().and_then(|line| line.parse().ok()).ok_or(InvalidCheckpoint::Root)?;
        let mut checkpoint = Self::new(origin, size, root)?;
        checkpoint.extensions = lines.map(str::to_owned).collect();
        if checkpoint.extensions.iter().any(|line| line.is_empty() || line.bytes().any(|byte| byte < b' ')) {
            return Err(InvalidCheckpoint::Lines);
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests;
