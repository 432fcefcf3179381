use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Credentials;

/// An LRU cache of up to [`SigningKeyCache::CAPACITY`] signing keys, so that they are not derived for every request: four of
/// the six HMACs of a signature depend only on the secret, the date, the region and the service.
#[derive(Default)]
pub struct SigningKeyCache {
    /// Least recently used first.
    entries: Mutex<Vec<Entry>>,
}

struct Entry {
    credentials: Credentials,
    date: String,
    region: String,
    service: String,
    key: SigningKey,
}

/// An HMAC initialized with the signing key.
pub(super) type SigningKey = Hmac<Sha256>;

impl SigningKeyCache {
    /// Enough for a few sets of credentials, regions and services, with two dates each around midnight.
    pub const CAPACITY: usize = 16;

    pub(super) fn get(
        &self,
        credentials: &Credentials,
        date: &str,
        region: &str,
        service: &str,
    ) -> SigningKey {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = entries.iter().rposition(|entry| {
            entry.date == date
                && entry.region == region
                && entry.service == service
                && entry.credentials == *credentials
        });
        if let Some(index) = hit {
            entries[index..].rotate_left(1);
        } else {
            if entries.len() == Self::CAPACITY {
                entries.remove(0);
            }
            entries.push(Entry {
                credentials: credentials.clone(),
                date: date.to_owned(),
                region: region.to_owned(),
                service: service.to_owned(),
                key: generate_signing_key(credentials.secret_access_key(), date, region, service),
            });
        }
        entries.last().expect("the entry found or just pushed").key.clone()
    }
}

/// Derives the signing key of a date, region and service.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#derive-signing-key>
fn generate_signing_key(secret_access_key: &str, date: &str, region: &str, service: &str) -> SigningKey {
    let mut key = new_hmac(format!("AWS4{secret_access_key}").as_bytes());
    for part in [date, region, service, "aws4_request"] {
        key.update(part.as_bytes());
        key = new_hmac(&key.finalize().into_bytes());
    }
    key
}

fn new_hmac(key: &[u8]) -> SigningKey {
    SigningKey::new_from_slice(key).expect("HMAC accepts keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(key: SigningKey) -> Vec<u8> {
        key.chain_update("message").finalize().into_bytes().to_vec()
    }

    #[test]
    fn a_cached_key_is_the_derived_key_of_its_own_scope() {
        let keys = SigningKeyCache::default();
        let credentials: Vec<_> =
            ["one", "two", "three"].map(|secret| Credentials::new("AKID", secret).unwrap()).into();
        // More scopes than the capacity, each requested twice, so that hits, misses and evictions all happen.
        for _ in 0..2 {
            for credentials in &credentials {
                for date in ["20260101", "20260102"] {
                    for region in ["eu-west-1", "us-east-1"] {
                        for service in ["s3", "kinesis"] {
                            for _ in 0..2 {
                                let cached = keys.get(credentials, date, region, service);
                                let derived = generate_signing_key(
                                    credentials.secret_access_key(),
                                    date,
                                    region,
                                    service,
                                );
                                assert_eq!(fingerprint(cached), fingerprint(derived));
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(keys.entries.lock().unwrap().len(), SigningKeyCache::CAPACITY);
    }

    #[test]
    fn the_least_recently_used_key_is_evicted() {
        let keys = SigningKeyCache::default();
        let credentials = Credentials::new("AKID", "secret").unwrap();
        let get = |day: usize| keys.get(&credentials, &day.to_string(), "eu-west-1", "s3");
        for day in 0..SigningKeyCache::CAPACITY {
            get(day);
        }
        get(0);
        get(100);
        let cached: Vec<_> = keys.entries.lock().unwrap().iter().map(|entry| entry.date.clone()).collect();
        let expected: Vec<_> =
            (2..SigningKeyCache::CAPACITY).chain([0, 100]).map(|day| day.to_string()).collect();
        assert_eq!(cached, expected);
    }
}
