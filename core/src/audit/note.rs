//! Notes: text with Ed25519 signatures (C2SP `signed-note`), and the keys.
//!
//! Signatures of other types and of unknown keys are kept when a note is read, and ignored when it is verified.

mod key;
mod signature;

use std::fmt;
use std::str::FromStr;

pub use self::key::{InvalidKeyName, InvalidVerifierKey, NoteSigner, VerifierKey};
pub use self::signature::NoteSignature;

/// The maximum size of a note, in bytes. A note with 16 signatures of 5,000 bytes each, which everyone must accept, has some 110,000.
pub const MAX_NOTE_BYTES: usize = 256 * 1024;

/// The maximum number of signatures of a note. At least 16 must be accepted.
pub const MAX_SIGNATURES: usize = 100;

/// A note with its signatures, whether or not they are valid. Its text form is the note itself; a text that is read is written unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A text that cannot be signed, or that is not a signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// The note is too long.
    #[error("the note has {0} bytes; the maximum is {MAX_NOTE_BYTES}")]
    Size(usize),
    /// The note contains a control character.
    #[error("the note contains a control character other than a newline")]
    ControlCharacter,
    /// The text is empty or its last line is not complete.
    #[error("the text of the note does not end in a newline")]
    UnfinishedText,
    /// There are no signatures.
    #[error("the note does not end in an empty line and signature lines")]
    Unsigned,
    /// There are too many signatures.
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    Signatures,
    /// A line after the last empty line is not a signature.
    #[error(
        "signature line {0} is not an em dash, a space, the name of a key, a space, and the base64 of 5 bytes or more"
    )]
    SignatureLine(usize),
}

/// Why a note is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A known key's signature is not one of this text.
    #[error("the signature of the key {name}+{id:08x} does not match the text: the note was changed")]
    WrongSignature {
        /// The name of the key.
        name: String,
        /// The id of the key.
        id: u32,
    },
    /// None of the keys has signed the note.
    #[error("the note has no signature of a known key")]
    NoKnownKey,
}

impl SignedNote {
    /// Signs a text, which must end in a newline, with each of the keys.
    pub fn sign(text: impl Into<String>, signers: &[&NoteSigner]) -> Result<Self, InvalidNote> {
        let text = text.into();
        check_characters(&text)?;
        if !text.ends_with('\n') {
            return Err(InvalidNote::UnfinishedText);
        }
        match signers.len() {
            0 => return Err(InvalidNote::Unsigned),
            1..=MAX_SIGNATURES => {}
            _ => return Err(InvalidNote::Signatures),
        }
        let signatures = signers.iter().map(|signer| signer.sign(&text)).collect();
        let note = Self { text, signatures };
        let size = note.to_string().len();
        if size > MAX_NOTE_BYTES { Err(InvalidNote::Size(size)) } else { Ok(note) }
    }

    /// Verifies the note and returns its text and those of the `keys` that signed it: one at least. A wrong signature of any of the keys
    /// makes the note invalid.
    pub fn verify<'a>(&self, keys: &'a [VerifierKey]) -> Result<(&str, Vec<&'a VerifierKey>), NoteError> {
        let mut signed_by: Vec<&VerifierKey> = Vec::new();
        for signature in &self.signatures {
            // Two keys with the same name and id are improbable, and one of them suffices.
            let mut known = keys.iter().filter(|key| signature.names(key)).peekable();
            if known.peek().is_none() {
                continue;
            }
            let Some(key) = known.find(|key| key.verifies(&self.text, signature.bytes())) else {
                return Err(NoteError::WrongSignature {
                    name: signature.key_name().to_owned(),
                    id: signature.key_id(),
                });
            };
            if !signed_by.contains(&key) {
                signed_by.push(key);
            }
        }
        if signed_by.is_empty() { Err(NoteError::NoKnownKey) } else { Ok((&self.text, signed_by)) }
    }

    /// The text, whether or not a known key has signed it.
    pub(super) fn unverified_text(&self) -> &str {
        &self.text
    }

    /// The signatures, whether or not they are valid.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }
}

/// Notes may contain no control characters of ASCII other than newlines.
fn check_characters(text: &str) -> Result<(), InvalidNote> {
    let is_forbidden = |byte: u8| byte < b' ' && byte != b'\n';
    if text.bytes().any(is_forbidden) { Err(InvalidNote::ControlCharacter) } else { Ok(()) }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(formatter, "{signature}"))
    }
}

impl FromStr for SignedNote {
    type Err = InvalidNote;

    fn from_str(note: &str) -> Result<Self, InvalidNote> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(InvalidNote::Size(note.len()));
        }
        check_characters(note)?;
        // The text may contain empty lines too: the last one separates it from the signatures.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(InvalidNote::Unsigned)?;
        let lines = lines.strip_suffix('\n').ok_or(InvalidNote::Unsigned)?;
        let mut signatures = Vec::new();
        for (number, line) in (1..).zip(lines.split('\n')) {
            if number > MAX_SIGNATURES {
                return Err(InvalidNote::Signatures);
            }
            signatures.push(NoteSignature::parse(line).ok_or(InvalidNote::SignatureLine(number))?);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }
}

#[cfg(test)]
mod tests;
