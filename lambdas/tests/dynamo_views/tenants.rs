use streamio_core::ports::tenant_store::TenantStore as _;
use streamio_events::api_key::ApiKey;
use streamio_events::event::Scope;
use streamio_events::tenant::Tenant;

use crate::fixtures::project;
use crate::test_dynamo::TestDynamo;

#[tokio::test]
async fn the_record_with_the_highest_version_of_a_key_is_kept() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let hash = ApiKey::generate("live", [7; 32]).unwrap().hash();
    let tenant = |version, revoked| Tenant {
        project_id: project("acme"),
        key_id: hash.key_id(),
        scopes: vec![Scope::Upload],
        expires_at: None,
        revoked,
        suspended: false,
        measured: None,
        version,
    };
    assert_eq!(views.get(&hash).await.unwrap(), None);
    for (version, revoked, written) in
        [(2, false, true), (2, true, false), (1, true, false), (4, true, true), (3, false, false)]
    {
        assert_eq!(views.put(&hash, &tenant(version, revoked)).await.unwrap(), written, "version {version}");
    }
    assert_eq!(views.get(&hash).await.unwrap(), Some(tenant(4, true)));
    let other = ApiKey::generate("live", [8; 32]).unwrap().hash();
    assert_eq!(views.get(&other).await.unwrap(), None);
}
