//! The keys of notes: Ed25519 only.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::ed25519::signature::Signer as _;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::NoteSignature;

/// The byte that identifies an Ed25519 key in ids and verifier keys.
const ED25519: u8 = 1;

/// The maximum length of a verifier key that is read, in bytes.
const MAX_VERIFIER_KEY_BYTES: usize = 4096;

/// The key that verifies a signer's notes. Its text form is `<name>+<id>+<base64>`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    key: VerifyingKey,
}

/// A name that a key must not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of a key is not empty and contains no space, plus sign or control character: {0:?}")]
pub struct InvalidKeyName(pub String);

/// A text that is not a verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVerifierKey {
    /// The text has another form.
    #[error(
        "a verifier key is `<name>+<id>+<key>` with an id of 8 lower-case hexadecimal digits and a key in base64"
    )]
    Form,
    /// The key is of another type.
    #[error("the key is of type {0}, and only Ed25519 keys (type 1) are supported")]
    Type(u8),
    /// The key is no point on the curve, or one that would verify signatures of others.
    #[error("the key is not a usable Ed25519 public key")]
    Key,
    /// The id does not follow from the name and the key.
    #[error("the id of this name and key is {expected:08x}: the verifier key is mistyped")]
    Id {
        /// The id that follows from name and key.
        expected: u32,
    },
}

/// Whether a key may have this name. A name with a control character could not be in a note.
pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+' || c < ' ')
}

impl VerifierKey {
    fn new(name: String, key: VerifyingKey) -> Self {
        let hash = Sha256::new()
            .chain_update(&name)
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        Self { name, id: u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]), key }
    }

    /// The name, which for the key of a log is the origin of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id: the first four bytes of a hash of name, type and key.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The public key.
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether this is a signature of `text` by this key.
    pub(super) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        // Strict: a key of small order, which would verify texts that nobody signed, is refused here too.
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        write!(formatter, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = InvalidVerifierKey;

    fn from_str(text: &str) -> Result<Self, InvalidVerifierKey> {
        if text.len() > MAX_VERIFIER_KEY_BYTES {
            return Err(InvalidVerifierKey::Form);
        }
        let (name, id, key) = read_parts(text).ok_or(InvalidVerifierKey::Form)?;
        let (kind, key) = key.split_first().ok_or(InvalidVerifierKey::Form)?;
        if *kind != ED25519 {
            return Err(InvalidVerifierKey::Type(*kind));
        }
        let key = key.try_into().map_err(|_| InvalidVerifierKey::Key)?;
        let key = VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak());
        let key = Self::new(name.to_owned(), key.ok_or(InvalidVerifierKey::Key)?);
        if id == format!("{:08x}", key.id) {
            Ok(key)
        } else {
            Err(InvalidVerifierKey::Id { expected: key.id })
        }
    }
}

/// Returns the name, the id as its digits, and the type and key.
fn read_parts(text: &str) -> Option<(&str, &str, Vec<u8>)> {
    // The base64 of the key may contain plus signs.
    let mut parts = text.splitn(3, '+');
    let name = parts.next().filter(|name| is_key_name(name))?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let id = parts.next().filter(|id| id.len() == 8 && id.bytes().all(is_digit))?;
    Some((name, id, STANDARD.decode(parts.next()?).ok()?))
}

/// The private key of a signer, with the verifier key that belongs to it.
pub struct NoteSigner {
    key: SigningKey,
    verifier: VerifierKey,
}

impl NoteSigner {
    /// The key with this name and this secret seed, as RFC 8032 defines private keys.
    pub fn from_seed(name: impl Into<String>, seed: &[u8; 32]) -> Result<Self, InvalidKeyName> {
        let name = name.into();
        if !is_key_name(&name) {
            return Err(InvalidKeyName(name));
        }
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::new(name, key.verifying_key());
        Ok(Self { key, verifier })
    }

    /// The key that verifies the signatures.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(super) fn sign(&self, text: &str) -> NoteSignature {
        NoteSignature::by(&self.verifier, self.key.sign(text.as_bytes()).to_bytes().to_vec())
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The seed is secret.
        write!(formatter, "NoteSigner({})", self.verifier)
    }
}
