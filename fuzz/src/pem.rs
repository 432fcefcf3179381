//! Keys of the CDN in PEM, from an operator's settings.

use streamio_edge::sign::key::{PrivateKey, PublicKey};
use streamio_local::cdn::TrustedKeys;

use crate::text;

/// An accepted key is written as the same key. A public key that the edge accepts, the CDN accepts.
pub fn check(data: &[u8]) {
    let Some(text) = text::of(data) else { return };
    if let Ok(key) = PublicKey::from_pem(text) {
        let pem = key.to_pem();
        assert_eq!(PublicKey::from_pem(&pem).expect("it was written").to_pem(), pem);
        assert!(TrustedKeys::from_pem([("K", &pem)]).is_ok());
    }
    if let Ok(key) = PrivateKey::from_pem(text) {
        let pem = key.to_pem();
        assert_eq!(*PrivateKey::from_pem(&pem).expect("it was written").to_pem(), *pem);
        assert!(!format!("{key:?}").contains("PRIVATE KEY"));
    }
}
