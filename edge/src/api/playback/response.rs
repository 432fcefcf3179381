use std::collections::BTreeMap;
use std::error::Error;

use serde::Serialize;
use streamio_events::event::PlaybackGranted;
use streamio_events::id::GrantId;
use streamio_events::object_key::ProcessedKey;
use streamio_events::timestamp::Timestamp;

use super::target::Target;
use crate::api::grant::unreadable;
use crate::api::play::{limited_query, media_policy};
use crate::cdn_url;
use crate::problem::Problem;
use crate::services::Services;
use crate::sign::SignedUrl;
use crate::sign::cloudfront::{self, SignedPolicy};
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
    /// The URL of the master playlist at the edge, for any player.
    hls_url: String,
    /// For players that append a query to every request to the CDN.
    policy_query: String,
    /// For pages on the CDN's domain.
    cookies: BTreeMap<&'static str, String>,
}

/// Signs the granted resource. `public_url` is the edge's own, without a slash at its end.
pub(super) async fn body(
    services: &Services,
    public_url: &str,
    granted: &PlaybackGranted,
) -> Result<Body, Problem> {
    let target = Target::recorded(&granted.key, &granted.resource)
        .ok_or_else(|| unreadable("the record of a playback grant names another project or no resource"))?;
    let (signed_url, stream) = sign(services, public_url, granted, &target).await?;
    Ok(Body { signed_url, expires_at: granted.expires_at, grant_id: granted.grant_id.clone(), stream })
}

/// The signed URL of `target` on the grant's terms; for a stream also the other ways to open it.
pub(super) async fn sign(
    services: &Services,
    public_url: &str,
    granted: &PlaybackGranted,
    target: &Target,
) -> Result<(String, Option<Stream>), Problem> {
    let url = |key: &ProcessedKey| cdn_url::of_key(&services.cdn_base_url, key.as_str());
    let signed = sign_policy(services, policy(services, granted, target)).await?;
    let signed_url =
        |key: &ProcessedKey| signed.url_for(&url(key)).map(SignedUrl::into_string).map_err(Problem::internal);
    Ok(match target {
        Target::File(key) => (signed_url(key)?, None),
        Target::Stream(video) => {
            let play_query = play_query(services, granted, video, &signed).await?;
            let hls_url =
                [public_url, "/play", &cdn_url::of_key("", video.hls_master().as_str()), "?", &play_query]
                    .concat();
            let mut cookies = BTreeMap::new();
            for cookie in signed.cookies() {
                cookies.insert(cookie.name, cookie.value);
            }
            (
                signed_url(&video.hls_master())?,
                Some(Stream { hls_url, policy_query: signed.query(), cookies }),
            )
        }
    })
}

/// Why a record is not one of a grant that can be signed.
pub(super) type InvalidGrant = Box<dyn Error + Send + Sync>;

async fn sign_policy(
    services: &Services,
    policy: Result<Policy, InvalidGrant>,
) -> Result<SignedPolicy, Problem> {
    let policy = policy.map_err(Problem::internal)?;
    cloudfront::sign(&*services.ports.url_signer, services.config.cdn.hash, policy)
        .await
        .map_err(|error| Problem::unavailable("The URL could not be signed.", error))
}

/// The query of a stream's playlists at the edge. `media` is the signature of all its files.
async fn play_query(
    services: &Services,
    granted: &PlaybackGranted,
    video: &ProcessedKey,
    media: &SignedPolicy,
) -> Result<String, Problem> {
    let Some(network) = &granted.ip else { return Ok(media.query()) };
    let master = cdn_url::of_key(&services.cdn_base_url, video.hls_master().as_str());
    let policy = Resource::exact(&master)
        .map_err(InvalidGrant::from)
        .and_then(|master| with_start(Policy::custom(master, granted.expires_at.unix_seconds())?, granted));
    let master = sign_policy(services, policy).await?;
    limited_query(&master, network, media).ok_or_else(|| {
        Problem::unavailable(
            "The URL could not be signed.",
            "the active key pair changed between two signatures",
        )
    })
}

/// The policy: canned (shorter) for a file without further conditions, otherwise custom.
pub(super) fn policy(
    services: &Services,
    granted: &PlaybackGranted,
    target: &Target,
) -> Result<Policy, InvalidGrant> {
    let expires_at = granted.expires_at.unix_seconds();
    let network = granted.ip.as_deref().map(str::parse).transpose()?;
    Ok(match target {
        Target::File(key) => {
            let policy = Policy::canned(&cdn_url::of_key(&services.cdn_base_url, key.as_str()), expires_at)?;
            let policy = with_start(policy, granted)?;
            match network {
                Some(network) => policy.source_ip(network),
                None => policy,
            }
        }
        Target::Stream(video) => {
            let starts_at = granted.starts_at.map(Timestamp::unix_seconds);
            media_policy(services, video, (expires_at, starts_at), network)?
        }
    })
}

/// The policy with the grant's start.
fn with_start(policy: Policy, granted: &PlaybackGranted) -> Result<Policy, InvalidGrant> {
    Ok(match granted.starts_at {
        Some(starts_at) => policy.starts_at(starts_at.unix_seconds())?,
        None => policy,
    })
}
