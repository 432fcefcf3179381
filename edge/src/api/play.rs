//! `GET /play/{key}`: a playlist of the CDN with the viewer's signature on every URI, so that HLS plays in any player.
//!
//! The viewer's own query authorizes the request, and the CDN decides: each request is sent to it with that query, and the edge keeps no
//! state. Only for a grant that is limited to a network ([`limited`]) the edge also signs a request itself. The host is always the
//! configured CDN; redirects are not followed.

mod conditional;
mod conditions;
mod limited;
mod query;
mod refusal;

pub(super) use limited::{limited_query, media_policy};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use streamio_events::object_key::ProcessedKey;

use self::conditional::{entity_tag, is_current};
use self::limited::Limited;
use self::query::PlayQuery;
use crate::cdn_url;
use crate::context::Context;
use crate::playlist::{Links, NotRewritten, rewrite};
use crate::ports::outbound::OutboundError;
use crate::problem::{Problem, ProblemKind};
use crate::public_url::public_url;
use crate::reply;
use crate::request::percent_decode;
use crate::services::Services;

/// The media type of playlists: <https://www.rfc-editor.org/rfc/rfc8216#section-4>.
const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// Personal, because it contains the viewer's signature. Short, because a master playlist is replaced when a video is processed
/// again, and because the signature expires.
const FOR_ONE_VIEWER: HeaderValue = HeaderValue::from_static("private, max-age=5");

/// The path below which playlists are, with a slash at its end.
pub(crate) const PLAY_PATH: &str = "/play/";

/// One request of a viewer.
pub(crate) struct PlayRequest<'a> {
    pub(crate) services: &'a Services,
    pub(crate) context: Context,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// The path after [`PLAY_PATH`], not decoded.
    pub(crate) key: &'a str,
}

/// The response with the rewritten playlist. `Range` is ignored: a playlist is small, and its parts are of no use.
pub(crate) async fn show(request: PlayRequest<'_>) -> Result<Response<Bytes>, Problem> {
    let PlayRequest { services, context, uri, headers, key } = request;
    let key = playlist_key(key)?;
    let query = PlayQuery::parse(uri.query().unwrap_or_default())?;
    let public_url = public_url(services, uri, headers)?;
    let url = cdn_url::of_key(&services.cdn_base_url, key.as_str());

    let Limited { playlist: answer, for_media } = if let Some(network) = query.network {
        limited::playlist(services, context.now, (&key, &url), (&query, network)).await?
    } else {
        let playlist = ask(services, &[&url, "?", &query.for_cdn].concat()).await?;
        if playlist.status() != StatusCode::OK {
            return Err(refusal::explain(&playlist, &query, &url, context.now));
        }
        Limited { playlist, for_media: query.for_cdn.clone() }
    };
    let play = [&public_url, PLAY_PATH.trim_end_matches('/')].concat();
    let etag = entity_tag(&answer, [&url, &play, &query.for_playlists]);
    let mut response = if is_current(headers, &etag) {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        let links = Links::new((&services.cdn_base_url, &url), &play, &query.for_playlists, &for_media)
            .ok_or_else(|| Problem::internal("the URL of a playlist is not below the CDN's base URL"))?;
        let playlist = rewrite(answer.body(), &links).map_err(|reason| unusable(&reason))?;
        reply::with_type(StatusCode::OK, PLAYLIST, playlist.into())
    };
    response.headers_mut().insert(CACHE_CONTROL, FOR_ONE_VIEWER);
    response.headers_mut().insert(ETAG, etag);
    Ok(response)
}

/// The CDN's answer to a request for `url`, which is complete.
async fn ask(services: &Services, url: &str) -> Result<Response<Bytes>, Problem> {
    let asked = Request::get(url).body(Bytes::new()).map_err(Problem::internal)?;
    services.ports.outbound.send(asked).await.map_err(unanswered)
}

/// The key of a playlist in PROCESSED, from a path.
fn playlist_key(path: &str) -> Result<ProcessedKey, Problem> {
    let decoded =
        percent_decode(path).ok_or_else(|| Problem::parameter("key", "is not percent-encoded UTF-8"))?;
    let key: ProcessedKey = decoded.parse().map_err(|error: streamio_events::object_key::InvalidKey| {
        Problem::parameter("key", error.to_string())
    })?;
    #[expect(clippy::case_sensitive_file_extension_comparisons, reason = "object keys are case-sensitive")]
    if key.as_str().ends_with(".m3u8") {
        Ok(key)
    } else {
        let detail = "must end in `.m3u8`: request other files from the CDN itself";
        Err(Problem::parameter("key", detail))
    }
}

/// The problem when the CDN did not answer, or answered with more than a playlist.
fn unanswered(error: OutboundError) -> Problem {
    if error.is_too_large() {
        return unusable(&NotRewritten::TooLarge);
    }
    Problem::unavailable("The CDN did not respond.", error)
}

fn unusable(reason: &NotRewritten) -> Problem {
    Problem::new(ProblemKind::InvalidPlaylist, format!("The file at the CDN {reason}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_playlists_in_processed_are_accepted() {
        for (path, key) in [
            ("processed/acme/a.mp4.hls/master.m3u8", "processed/acme/a.mp4.hls/master.m3u8"),
            ("processed%2Facme%2F%C3%A9%20%3F.m3u8", "processed/acme/é ?.m3u8"),
        ] {
            assert_eq!(playlist_key(path).unwrap().as_str(), key);
        }
        for path in [
            "",
            "processed/acme/a.mp4",
            "processed/acme/a.M3U8",
            "processed/acme/../other/a.m3u8",
            "processed/acme/%2e%2e/a.m3u8",
            "processed/acme//a.m3u8",
            "processed/a.m3u8",
            "/processed/acme/a.m3u8",
            "projects/acme/a.m3u8",
            "processed/acme/a%00.m3u8",
            "processed/acme/a\\b.m3u8",
            "processed/acme/%zz.m3u8",
            "processed/acme/e%CC%81.m3u8",
            "https://elsewhere.example/processed/acme/a.m3u8",
        ] {
            assert!(playlist_key(path).is_err(), "{path}");
        }
    }
}
