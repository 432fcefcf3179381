//! An API key as the edge knows it: the value that the directory replicates.

use serde::{Deserialize, Serialize};

use crate::api_key::KeyHash;
use crate::event::Scope;
use crate::id::{KeyId, ProjectId};
use crate::limits::MeasuredUse;
use crate::timestamp::Timestamp;

/// One API key and its project, as replicated to the directory.
///
/// This is also, as JSON ([`Tenant::to_stored`]), the value of `k:{SHA-256 of the key in lower case hex}` in the
/// edge's key-value store. The record of a revoked key is not removed there; it is replaced by one with
/// [`Tenant::revoked`] set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// The project that the key belongs to.
    pub project_id: ProjectId,
    /// The key's id, which is recorded in grants and by which requests are counted.
    pub key_id: KeyId,
    /// What the key may be used for.
    pub scopes: Vec<Scope>,
    /// When the key expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether the key was revoked.
    pub revoked: bool,
    /// Whether the whole project is suspended.
    pub suspended: bool,
    /// What the project had used of its limits on uploads when that was last recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<MeasuredUse>,
    /// The version of the project's stream that this was folded to. It only increases: caches refuse an older one.
    pub version: u64,
}

/// Maximum size of a value in a key-value store, in bytes: ten times the size of a key with all scopes. It limits the
/// size of a cache of tenants.
pub const MAX_STORED_BYTES: usize = 4096;

/// Why a stored value is not the tenant of the key it is stored under.
#[derive(Debug, thiserror::Error)]
pub enum InvalidStoredTenant {
    /// Longer than any value that Streamio writes.
    #[error("the stored tenant has {length} bytes, more than {MAX_STORED_BYTES}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Not the JSON of a tenant.
    #[error("the stored tenant cannot be read")]
    Json(#[source] serde_json::Error),
    /// The record of another key is stored under this key's name.
    #[error("the stored tenant belongs to {found}, but is stored under the name of {expected}")]
    OtherKey {
        /// The key id in the record.
        found: KeyId,
        /// The key id of the name.
        expected: KeyId,
    },
}

impl Tenant {
    /// The name under which a key-value store holds the tenant of the key whose SHA-256 is `key`.
    pub fn stored_name(key: &KeyHash) -> String {
        format!("k:{key}")
    }

    /// The value for a key-value store.
    pub fn to_stored(&self) -> String {
        serde_json::to_string(self).expect("a tenant is plain data with text keys")
    }

    /// Parses the value that a key-value store holds under [`Self::stored_name`] of `key`.
    pub fn from_stored(key: &KeyHash, value: &[u8]) -> Result<Self, InvalidStoredTenant> {
        if value.len() > MAX_STORED_BYTES {
            return Err(InvalidStoredTenant::TooLong { length: value.len() });
        }
        let tenant: Self = serde_json::from_slice(value).map_err(InvalidStoredTenant::Json)?;
        let expected = key.key_id();
        if tenant.key_id != expected {
            return Err(InvalidStoredTenant::OtherKey { found: tenant.key_id, expected });
        }
        Ok(tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::ApiKey;
    use proptest::prelude::*;

    fn key(number: u8) -> KeyHash {
        ApiKey::generate("live", [number; 32]).unwrap().hash()
    }

    fn tenant(number: u8) -> Tenant {
        Tenant {
            project_id: "acme".parse().unwrap(),
            key_id: key(number).key_id(),
            scopes: vec![Scope::Upload, Scope::Admin],
            expires_at: None,
            revoked: false,
            suspended: false,
            measured: None,
            version: 7,
        }
    }

    proptest! {
        #[test]
        fn a_stored_tenant_round_trips(
            revoked: bool, suspended: bool, version: u64, expires_at in prop::option::of(0i64..1 << 40),
        ) {
            let expires_at = expires_at.map(Timestamp::from_unix_millis);
            let tenant = Tenant { expires_at, revoked, suspended, version, ..tenant(1) };
            let read = Tenant::from_stored(&key(1), tenant.to_stored().as_bytes());
            prop_assert_eq!(read.unwrap(), tenant);
        }

        #[test]
        fn a_truncated_value_is_an_error(end in 0usize..150) {
            let stored = tenant(1).to_stored();
            prop_assume!(end < stored.len());
            let error = Tenant::from_stored(&key(1), &stored.as_bytes()[..end]);
            prop_assert!(matches!(error, Err(InvalidStoredTenant::Json(_))));
        }
    }

    #[test]
    fn the_stored_form_is_fixed() {
        let stored = tenant(1).to_stored();
        insta::assert_snapshot!(stored, @r#"{"projectId":"acme","keyId":"key_vllgt5ugvohflqnsqsgf3umgaq","scopes":["upload","admin"],"revoked":false,"suspended":false,"version":7}"#);
        insta::assert_snapshot!(Tenant::stored_name(&key(1)), @"k:3d8650275e197eb37b355412005dd00b72c6622dbbf5011971ac6460a640f858");
        assert!(stored.len() * 10 < MAX_STORED_BYTES);
    }

    #[test]
    fn the_record_of_another_key_is_refused() {
        let error = Tenant::from_stored(&key(2), tenant(1).to_stored().as_bytes()).unwrap_err();
        assert!(matches!(error, InvalidStoredTenant::OtherKey { .. }), "{error}");
    }

    #[test]
    fn a_value_that_is_too_long_is_refused() {
        let padded = format!("{}{}", tenant(1).to_stored(), " ".repeat(MAX_STORED_BYTES));
        let error = Tenant::from_stored(&key(1), padded.as_bytes()).unwrap_err();
        assert!(matches!(error, InvalidStoredTenant::TooLong { .. }), "{error}");
        let longest = format!("{:<MAX_STORED_BYTES$}", tenant(1).to_stored());
        assert_eq!(Tenant::from_stored(&key(1), longest.as_bytes()).unwrap(), tenant(1));
        let error = Tenant::from_stored(&key(1), format!("{longest} ").as_bytes()).unwrap_err();
        assert!(matches!(error, InvalidStoredTenant::TooLong { length: 4097 }), "{error}");
    }
}
