//! Tenants as they are stored near the edge.

use streamio_events::api_key::ApiKey;
use streamio_events::tenant::Tenant;

/// A stored tenant is stored again as the same, and is that of its key only.
pub fn check(data: &[u8]) {
    let keys = [[1; 32], [2; 32]]
        .map(|random| ApiKey::generate("live", random).expect("`live` is an environment").hash());
    let Ok(tenant) = Tenant::from_stored(&keys[0], data) else { return };
    assert_eq!(Tenant::from_stored(&keys[0], tenant.to_stored().as_bytes()).expect("it was written"), tenant);
    assert!(Tenant::from_stored(&keys[1], data).is_err());
}
