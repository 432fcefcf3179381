//! Playlists of a grant that is limited to a network.
//!
//! The CDN sees the edge's address when the edge asks for a playlist, so the policy with which it asks cannot have the limit. Such a
//! policy must not cover a media file, with any query, and CloudFront does not document whether the `*` of a pattern also matches the
//! `?` before a query. So the viewer's policy without the limit is for exactly the master playlist. The edge asks the CDN for that with
//! each request; the CDN's answer permits the other playlists of the same stream, for which the edge then signs, each by itself.
//!
//! Media files have the policy with the limit. It follows from the viewer's other parameters, so only its signature is one of them.

use bytes::Bytes;
use http::{Response, StatusCode};
use ipnet::Ipv4Net;
use streamio_events::object_key::ProcessedKey;
use streamio_events::timestamp::Timestamp;

use super::conditions::Conditions;
use super::query::{PlayQuery, refused};
use super::{ask, refusal};
use crate::cdn_url;
use crate::problem::Problem;
use crate::services::Services;
use crate::sign::cloudfront::{self, SignedPolicy};
use crate::sign::policy::{InvalidPolicy, MAX_EXPIRES_AT, Policy, Resource};

/// For how long the edge's own signature is valid at least, in seconds. Requests within a minute share one.
const SIGNED_FOR: i64 = 60;

/// A playlist of the CDN, and the query of the media files in it.
pub(super) struct Limited {
    pub(super) playlist: Response<Bytes>,
    pub(super) for_media: String,
}

/// The query of a stream's playlists: `master` allows the master playlist for every address, `media` all files for `network`. `None` if
/// they were signed with different key pairs, because the query has one key pair's id.
pub(in crate::api) fn limited_query(
    master: &SignedPolicy,
    network: &str,
    media: &SignedPolicy,
) -> Option<String> {
    (master.key_pair_id() == media.key_pair_id()).then(|| {
        let query = master.query();
        [&query, "&Media-Ip=", network, "&Media-Signature=", media.signature()].concat()
    })
}

/// The policy of the media files of `video` for one network.
pub(in crate::api) fn media_policy(
    services: &Services,
    video: &ProcessedKey,
    (expires_at, starts_at): (i64, Option<i64>),
    network: Option<Ipv4Net>,
) -> Result<Policy, InvalidPolicy> {
    let folder = cdn_url::of_key(&services.cdn_base_url, &video.hls_prefix());
    let policy = Policy::custom(Resource::wildcard(&format!("{folder}*"))?, expires_at)?;
    let policy = match starts_at {
        Some(starts_at) => policy.starts_at(starts_at)?,
        None => policy,
    };
    Ok(match network {
        Some(network) => policy.source_ip(network),
        None => policy,
    })
}

/// Asks the CDN for the playlist `key`, whose URL is `url`.
pub(super) async fn playlist(
    services: &Services,
    now: Timestamp,
    (key, url): (&ProcessedKey, &str),
    (query, network): (&PlayQuery, Ipv4Net),
) -> Result<Limited, Problem> {
    let video = video_of(key).ok_or_else(|| refused("Policy", refusal::OTHER_FILES))?;
    let master = cdn_url::of_key(&services.cdn_base_url, video.hls_master().as_str());
    let permission = ask(services, &[&master, "?", &query.for_cdn].concat()).await?;
    if permission.status() != StatusCode::OK {
        return Err(refusal::explain(&permission, query, &master, now));
    }
    // The CDN has verified it.
    let conditions =
        Conditions::read(&query.policy).ok_or_else(|| refused("Policy", refusal::NOT_A_POLICY))?;
    let times = (conditions.expires_at, conditions.starts_at);
    let media = media_policy(services, &video, times, Some(network)).map_err(Problem::internal)?;
    let for_media = query.for_media(&cloudfront::encode(media.to_json().as_bytes()));
    let playlist = if url == master { permission } else { signed_by_the_edge(services, now, url).await? };
    Ok(Limited { playlist, for_media })
}

/// The CDN's answer to a request for exactly this playlist, signed here.
async fn signed_by_the_edge(
    services: &Services,
    now: Timestamp,
    url: &str,
) -> Result<Response<Bytes>, Problem> {
    let expires_at = (now.unix_seconds() / SIGNED_FOR + 2) * SIGNED_FOR;
    let policy = Policy::canned(url, expires_at.min(MAX_EXPIRES_AT)).map_err(Problem::internal)?;
    let signed = cloudfront::sign(&*services.ports.url_signer, services.config.cdn.hash, policy)
        .await
        .map_err(|error| Problem::unavailable("The playlist could not be requested.", error))?;
    let signed_url = signed.url_for(url).map_err(Problem::internal)?.into_string();
    let answer = ask(services, &signed_url).await?;
    if answer.status() == StatusCode::OK { Ok(answer) } else { Err(refusal::explain_own(&answer)) }
}

/// The video in whose stream's folder `key` is. No segment of an uploaded key ends in `.hls`.
fn video_of(key: &ProcessedKey) -> Option<ProcessedKey> {
    key.as_str().split_once(".hls/")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_is_of_the_stream_in_whose_folder_it_is() {
        let video = |key: &str| video_of(&key.parse().unwrap()).map(|video| video.to_string());
        let clip = Some("processed/acme/a/clip.mp4".to_owned());
        assert_eq!(video("processed/acme/a/clip.mp4.hls/master.m3u8"), clip);
        assert_eq!(video("processed/acme/a/clip.mp4.hls/g1-a1/720p.m3u8"), clip);
        assert_eq!(video("processed/acme/a/clip.mp4.hls/x.hls/720p.m3u8"), clip);
        for other in ["processed/acme/a.m3u8", "processed/acme/.hls/a.m3u8", "processed/acme/a.hls.m3u8"] {
            assert_eq!(video(other), None, "{other}");
        }
    }
}
