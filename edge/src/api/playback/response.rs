use std::collections::BTreeMap;
use std::error::Error;

use serde::Serialize;
use streamio_events::event::PlaybackGranted;
use streamio_events::id::GrantId;
use streamio_events::object_key::ProcessedKey;
use streamio_events::timestamp::Timestamp;

use super::target::Target;
use crate::api::grant::unreadable;
use crate::cdn_url;
use crate::problem::Problem;
use crate::services::Services;
use crate::sign::cloudfront;
use crate::sign::policy::{Policy, Resource};

/// The response body of `POST /playback-url`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    signed_url: String,
    expires_at: Timestamp,
    grant_id: GrantId,
    #[serde(flatten)]
    stream: Option<Stream>,
}

/// Three ways to open an adaptive stream; a player needs one of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stream {
    /// The signed URL of the master playlist.
    hls_url: String,
    /// For players that append a query to every request.
    policy_query: String,
    /// For pages on the CDN's domain.
    cookies: BTreeMap<&'static str, String>,
}

/// Signs the granted resource.
pub(super) async fn body(services: &Services, granted: &PlaybackGranted) -> Result<Body, Problem> {
    let target = Target::recorded(&granted.key, &granted.resource)
        .ok_or_else(|| unreadable("the record of a playback grant names another project or no resource"))?;
    let (signed_url, stream) = sign(services, granted, &target).await?;
    Ok(Body { signed_url, expires_at: granted.expires_at, grant_id: granted.grant_id.clone(), stream })
}

/// The signed URL of `target` on the grant's terms; for a stream also the other ways to open it.
pub(super) async fn sign(
    services: &Services,
    granted: &PlaybackGranted,
    target: &Target,
) -> Result<(String, Option<Stream>), Problem> {
    let url = |key: &ProcessedKey| cdn_url::of_key(&services.cdn_base_url, key.as_str());
    let policy = policy(services, granted, target).map_err(Problem::internal)?;
    let signed = cloudfront::sign(&*services.ports.url_signer, services.config.cdn.hash, policy)
        .await
        .map_err(|error| Problem::unavailable("The URL could not be signed.", error))?;
    let sign = |key: &ProcessedKey| signed.url_for(&url(key)).map_err(Problem::internal);
    Ok(match target {
        Target::File(key) => (sign(key)?.into_string(), None),
        Target::Stream(video) => {
            let hls_url = sign(&video.hls_master())?.into_string();
            let mut cookies = BTreeMap::new();
            for cookie in signed.cookies() {
                cookies.insert(cookie.name, cookie.value);
            }
            (hls_url.clone(), Some(Stream { hls_url, policy_query: signed.query(), cookies }))
        }
    })
}

/// The policy: canned (shorter) for a file without further conditions, otherwise custom.
fn policy(
    services: &Services,
    granted: &PlaybackGranted,
    target: &Target,
) -> Result<Policy, Box<dyn Error + Send + Sync>> {
    let expires_at = granted.expires_at.unix_seconds();
    let mut policy = match target {
        Target::File(key) => {
            Policy::canned(&cdn_url::of_key(&services.cdn_base_url, key.as_str()), expires_at)?
        }
        Target::Stream(video) => {
            let folder = cdn_url::of_key(&services.cdn_base_url, &video.hls_prefix());
            Policy::custom(Resource::wildcard(&format!("{folder}*"))?, expires_at)?
        }
    };
    if let Some(starts_at) = granted.starts_at {
        policy = policy.starts_at(starts_at.unix_seconds())?;
    }
    if let Some(network) = &granted.ip {
        policy = policy.source_ip(network.parse()?);
    }
    Ok(policy)
}
