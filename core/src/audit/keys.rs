//! The keys of the projects' logs.

use streamio_events::id::ProjectId;

use super::note::{InvalidKeyName, NoteSigner};
use crate::root_secret::{RootSecret, ShortSecret};

/// Derives the keys of the projects' logs from the audit secret of the deployment, so that none has to be stored. A tenant's key is of no
/// use for another tenant's log.
#[derive(Debug, Clone)]
pub struct AuditKeys {
    root: RootSecret,
    host: String,
}

/// Values from which no keys can be derived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAuditKeys {
    /// The secret is too short.
    #[error(transparent)]
    Secret(#[from] ShortSecret),
    /// The host cannot be part of the name of a key.
    #[error("the host of the audit log cannot be used")]
    Host(#[from] InvalidKeyName),
}

impl AuditKeys {
    /// The keys of the deployment with the audit secret `secret`, at least 32 random bytes. The origin of a project's log is
    /// `<host>/<project>`.
    pub fn new(secret: &[u8], host: impl Into<String>) -> Result<Self, InvalidAuditKeys> {
        let host = host.into();
        // Ids of projects have letters, digits and hyphens, so whether there is a signer depends on the host only.
        NoteSigner::from_seed(host.clone(), &[0; 32])?;
        Ok(Self { root: RootSecret::new(secret)?, host })
    }

    /// The origin of the project's log, which is the name of its key.
    pub fn origin(&self, project_id: &ProjectId) -> String {
        format!("{}/{project_id}", self.host)
    }

    /// The key that signs the checkpoints of the project's log.
    pub fn signer(&self, project_id: &ProjectId) -> NoteSigner {
        let origin = self.origin(project_id);
        let seed = self.root.derive(&["audit", &origin]);
        NoteSigner::from_seed(origin, &seed).expect("the host was checked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> ProjectId {
        name.parse().unwrap()
    }

    #[test]
    fn every_project_host_and_secret_has_a_key_of_its_own() {
        let key = |secret: u8, host: &str, name: &str| {
            let keys = AuditKeys::new(&[secret; 32], host).unwrap();
            keys.signer(&project(name)).verifier_key().to_string()
        };
        let keys = [
            key(1, "streamio.example", "acme"),
            key(1, "streamio.example", "zebra"),
            key(1, "streamio.example:8080", "acme"),
            key(2, "streamio.example", "acme"),
        ];
        assert!(keys[0].starts_with("streamio.example/acme+"), "{}", keys[0]);
        // What follows the name is the id and the key itself.
        let public_keys: std::collections::BTreeSet<&str> =
            keys.iter().map(|key| key.rsplit_once('+').unwrap().1).collect();
        assert_eq!(public_keys.len(), keys.len());
        assert_eq!(keys[0], key(1, "streamio.example", "acme"), "derived, not random");
    }

    #[test]
    fn a_host_that_cannot_be_in_a_checkpoint_and_a_short_secret_are_refused() {
        for host in ["", "a b", "a+b", "a\nb"] {
            let refused = AuditKeys::new(&[1; 32], host).unwrap_err();
            assert!(matches!(refused, InvalidAuditKeys::Host(_)), "{host:?}");
        }
        assert!(matches!(AuditKeys::new(&[1; 31], "a").unwrap_err(), InvalidAuditKeys::Secret(_)));
    }
}
