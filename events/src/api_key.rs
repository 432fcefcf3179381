//! API keys: `sio_<env>_<43 base62 characters: 256 random bits>_<6 base62 characters: CRC-32>`.
//!
//! The checksum covers everything before its underscore, so that invalid keys and typing errors are refused without a
//! look-up. A key is stored and compared only as its SHA-256.

use std::fmt;
use std::str::FromStr;

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::id::KeyId;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Base62 digits that hold 256 bits.
const SECRET_LENGTH: usize = 43;
/// Base62 digits that hold 32 bits.
const CHECKSUM_LENGTH: usize = 6;

/// An API key with a valid form and checksum. It need not exist. Its `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// Why text is not an API key. The error never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidApiKey {
    /// Not of the documented form.
    #[error("an API key looks like sio_<env>_<43 letters and digits>_<6 letters and digits>")]
    Malformed,
    /// The form is valid but the checksum is not: a character was changed or lost.
    #[error("the API key's checksum does not match: it was changed or cut when it was copied")]
    Checksum,
}

impl ApiKey {
    /// Returns the key of environment `env` (2 to 8 lower-case letters, such as `live`) made of 256 `random` bits.
    pub fn generate(env: &str, random: [u8; 32]) -> Result<Self, InvalidApiKey> {
        if !is_env(env) {
            return Err(InvalidApiKey::Malformed);
        }
        let body = format!("sio_{env}_{}", base62(random, SECRET_LENGTH));
        Ok(Self(format!("{body}_{}", checksum(&body))))
    }

    /// The key itself, to be shown once to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash under which the key is stored.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env = self.0.split('_').nth(1).unwrap_or_default();
        write!(formatter, "ApiKey(sio_{env}_…)")
    }
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (body, sum) = text.rsplit_once('_').ok_or(InvalidApiKey::Malformed)?;
        let (env, secret) = body
            .strip_prefix("sio_")
            .and_then(|rest| rest.split_once('_'))
            .ok_or(InvalidApiKey::Malformed)?;
        let base62_of = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if !is_env(env) || !base62_of(secret, SECRET_LENGTH) || !base62_of(sum, CHECKSUM_LENGTH) {
            return Err(InvalidApiKey::Malformed);
        }
        if checksum(body) != sum {
            return Err(InvalidApiKey::Checksum);
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_env(env: &str) -> bool {
    (2..=8).contains(&env.len()) && env.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The CRC-32 of zip files and of Ethernet.
static CRC_32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

fn checksum(body: &str) -> String {
    base62(CRC_32.checksum(body.as_bytes()).to_be_bytes(), CHECKSUM_LENGTH)
}

/// The big-endian number in `bytes`, in exactly `length` base62 digits.
fn base62<const N: usize>(mut bytes: [u8; N], length: usize) -> String {
    let mut digits = vec![b'0'; length];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in &mut bytes {
            let value = remainder * 256 + u32::from(*byte);
            *byte =
                u8::try_from(value / 62).expect("the remainder is below 62, so the quotient is below 256");
            remainder = value % 62;
        }
        *digit = ALPHABET[remainder as usize];
    }
    String::from_utf8(digits).expect("the alphabet is ASCII")
}

/// SHA-256 of a whole API key. Its text form is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id that names the key without revealing it.
    pub fn key_id(&self) -> KeyId {
        KeyId::of_hash(&self.0)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyHash({self})")
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = base16ct::lower::decode_vec(&text).map_err(de::Error::custom)?;
        Ok(Self(bytes.try_into().map_err(|_| de::Error::custom("a SHA-256 has 64 hexadecimal digits"))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_key_round_trips_and_no_two_are_equal(a: [u8; 32], b: [u8; 32], env in "[a-z]{2,8}") {
            let key = ApiKey::generate(&env, a).unwrap();
            prop_assert_eq!(key.reveal().parse::<ApiKey>(), Ok(key.clone()));
            prop_assert_eq!(key.reveal().len(), 4 + env.len() + 1 + SECRET_LENGTH + 1 + CHECKSUM_LENGTH);
            prop_assert_eq!(a == b, key == ApiKey::generate(&env, b).unwrap());
            let shown = format!("{key:?}");
            prop_assert!(!shown.contains(&key.reveal()[9..20]));
        }

        #[test]
        fn a_changed_character_is_detected(random: [u8; 32], at in 9usize..59, to in "[0-9A-Za-z]") {
            let key = ApiKey::generate("live", random).unwrap();
            let mut text = key.reveal().to_owned();
            prop_assume!(text[at..].chars().next().is_some_and(|c| c != '_' && c.to_string() != to));
            text.replace_range(at..=at, &to);
            prop_assert_eq!(text.parse::<ApiKey>(), Err(InvalidApiKey::Checksum));
        }

        #[test]
        fn invalid_text_is_refused_without_a_panic(text in ".*|sio_[a-z]{0,9}_.{0,60}_.{0,8}") {
            prop_assert!(text.parse::<ApiKey>().is_err());
        }
    }

    #[test]
    fn the_hash_of_a_key_is_the_sha_256_of_its_text() {
        let key = ApiKey::generate("live", [7; 32]).unwrap();
        assert_eq!(key.hash().as_bytes()[..], Sha256::digest(key.reveal())[..]);
    }

    #[test]
    fn the_form_of_a_key_is_checked_also_if_its_checksum_is_right() {
        let parsed = |env: &str, secret: &str| {
            let body = format!("sio_{env}_{secret}");
            format!("{body}_{}", checksum(&body)).parse::<ApiKey>()
        };
        let secret = "a".repeat(SECRET_LENGTH);
        for env in ["li", "live", "abcdefgh"] {
            assert!(parsed(env, &secret).is_ok(), "{env}");
        }
        for env in ["", "a", "abcdefghi", "liVe", "l1ve", "l-ve"] {
            assert!(matches!(parsed(env, &secret), Err(InvalidApiKey::Malformed)), "{env}");
        }
        for secret in ["", &secret[1..], &format!("{secret}a"), &format!("{}-", &secret[1..])] {
            assert!(matches!(parsed("live", secret), Err(InvalidApiKey::Malformed)), "{secret}");
        }
    }

    #[test]
    fn the_largest_numbers_fit_the_digits() {
        // 2^256 - 1 and 2^32 - 1 in base62, computed independently by repeated division.
        assert_eq!(base62([255; 4], CHECKSUM_LENGTH), "4gfFC3");
        assert_eq!(base62([255; 32], SECRET_LENGTH), "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
    }
}
