//! The signature lines of notes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::VerifierKey;
use super::key::is_key_name;

/// What a signature line begins with: an em dash and a space.
const PREFIX: &str = "— ";

/// The bytes of a key's id.
const ID_BYTES: usize = 4;

/// A signature of a note, of any type. Its text form is its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    key_name: String,
    key_id: u32,
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// The signature with these bytes, made with the private part of `key`.
    pub(super) fn by(key: &VerifierKey, bytes: Vec<u8>) -> Self {
        Self { key_name: key.name().to_owned(), key_id: key.id(), bytes }
    }

    /// The name of the key, as the line states it.
    pub fn key_name(&self) -> &str {
        &self.key_name
    }

    /// The id of the key, as the line states it.
    pub fn key_id(&self) -> u32 {
        self.key_id
    }

    /// The signature itself.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the line states the name and the id of `key`.
    pub(super) fn names(&self, key: &VerifierKey) -> bool {
        (self.key_id, self.key_name.as_str()) == (key.id(), key.name())
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.strip_prefix(PREFIX)?.split_once(' ')?;
        let bytes = STANDARD.decode(rest).ok().filter(|bytes| bytes.len() > ID_BYTES && is_key_name(name))?;
        let (id, bytes) = bytes.split_first_chunk()?;
        Some(Self { key_name: name.to_owned(), key_id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.to_be_bytes().as_slice(), &self.bytes].concat();
        write!(formatter, "{PREFIX}{} {}", self.key_name, STANDARD.encode(bytes))
    }
}
