use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::tenant::Tenant;

use super::HomeClient;
use crate::directory::TenantSource;
use crate::port::Cause;

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl TenantSource for HomeClient {
    async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, Cause> {
        Ok(Self::tenant(self, key).await?)
    }
}
