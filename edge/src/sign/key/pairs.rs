use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{HashAlgorithm, KeySignature, PrivateKey, PublicKey, UrlSigner, UrlSignerError};

/// The CDN's key pairs by id. The active one signs; the others only verify, so that URLs signed before a rotation stay
/// valid until they expire.
#[derive(Debug)]
pub struct KeyPairs {
    active: String,
    pairs: BTreeMap<String, PrivateKey>,
}

/// Why a set of key pairs is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyPairs {
    /// The id appears unescaped in every URL and cookie.
    #[error("{id:?} is not a key pair id: it must be 1 to 64 characters of A-Z, a-z, 0-9, '-', '_'")]
    Id {
        /// The id that was passed.
        id: String,
    },
    /// Verification would be ambiguous.
    #[error("two key pairs have the id {id}")]
    Duplicate {
        /// The id that occurs twice.
        id: String,
    },
    /// Signing would be impossible.
    #[error("the active key pair {id:?} is not among the key pairs")]
    ActiveMissing {
        /// The id that was passed.
        id: String,
    },
}

impl KeyPairs {
    /// Creates the set from key pairs by id; `active` is the id of the one that signs.
    pub fn new(
        active: &str,
        pairs: impl IntoIterator<Item = (String, PrivateKey)>,
    ) -> Result<Self, InvalidKeyPairs> {
        let mut by_id = BTreeMap::new();
        for (id, key) in pairs {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if !(1..=64).contains(&id.len()) || !id.bytes().all(plain) {
                return Err(InvalidKeyPairs::Id { id });
            }
            if by_id.contains_key(&id) {
                return Err(InvalidKeyPairs::Duplicate { id });
            }
            by_id.insert(id, key);
        }
        if !by_id.contains_key(active) {
            return Err(InvalidKeyPairs::ActiveMissing { id: active.to_owned() });
        }
        Ok(Self { active: active.to_owned(), pairs: by_id })
    }

    /// The id and private key of the active pair.
    pub fn active(&self) -> (&str, &PrivateKey) {
        (&self.active, &self.pairs[&self.active])
    }

    /// The ids and public keys of all pairs, which a verifier needs.
    pub fn public_keys(&self) -> impl Iterator<Item = (&str, PublicKey)> {
        self.pairs.iter().map(|(id, key)| (id.as_str(), key.public_key()))
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl UrlSigner for KeyPairs {
    async fn sign(&self, hash: HashAlgorithm, message: &[u8]) -> Result<KeySignature, UrlSignerError> {
        let (id, key) = self.active();
        Ok(KeySignature { key_pair_id: id.to_owned(), signature: key.sign(hash, message) })
    }
}
