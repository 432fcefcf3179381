//! The `Content-Type` and `Cache-Control` of an object.

use super::origin::ObjectMetadata;

/// The media type of HLS playlists: <https://www.rfc-editor.org/rfc/rfc8216#section-4>.
const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// For objects under an attempt's prefix, which are never overwritten. `private`, because a shared cache in front of
/// the CDN would return the response to viewers that are not authorised.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// For objects under stable keys, which change when a video is processed again.
const SHORT_LIVED: &str = "private, max-age=5";

/// The `Content-Type` of an object: the stored type, or the type of the key's extension if none was stored (which S3
/// shows as `binary/octet-stream`).
pub(super) fn content_type(key: &str, metadata: &ObjectMetadata) -> String {
    let stored = metadata.content_type.as_deref().unwrap_or_default();
    let essence = stored.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "" | "binary/octet-stream" | "application/octet-stream" => type_of_extension(key).to_owned(),
        PLAYLIST | "application/x-mpegurl" | "audio/mpegurl" | "audio/x-mpegurl" => PLAYLIST.to_owned(),
        _ => stored.to_owned(),
    }
}

fn type_of_extension(key: &str) -> &'static str {
    let name = key.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("m3u8") => PLAYLIST,
        Some("mp4" | "m4v" | "mov") => "video/mp4",
        Some("m4s" | "cmfv") => "video/iso.segment",
        Some("m4a" | "cmfa") => "audio/mp4",
        Some("ts") => "video/mp2t",
        Some("vtt") => "text/vtt",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("avif") => "image/avif",
        _ => "application/octet-stream",
    }
}

/// The `Cache-Control` of an object.
pub(super) fn cache_control(key: &str) -> &'static str {
    if is_attempt_output(key) { IMMUTABLE } else { SHORT_LIVED }
}

/// Whether a key is under an attempt's prefix, `….hls/g{generation}-a{attempt}/…`. A source may be in a folder named
/// like an attempt, but not in one whose name ends in `.hls`.
fn is_attempt_output(key: &str) -> bool {
    let mut segments = key.split('/').peekable();
    while let Some(segment) = segments.next() {
        let attempt =
            segments.peek().and_then(|next| next.strip_prefix('g')).and_then(|rest| rest.split_once("-a"));
        if segment.strip_suffix(".hls").is_some()
            && attempt.is_some_and(|(generation, attempt)| is_number(generation) && is_number(attempt))
        {
            segments.next();
            return segments.next().is_some();
        }
    }
    false
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_of(key: &str, stored: Option<&str>) -> String {
        content_type(
            key,
            &ObjectMetadata { content_type: stored.map(str::to_owned), ..ObjectMetadata::default() },
        )
    }

    #[test]
    fn the_stored_type_has_precedence_over_the_extension() {
        assert_eq!(type_of("processed/p/clip.m3u8", Some("video/mp4")), "video/mp4");
        assert_eq!(type_of("a/master.m3u8", Some("application/x-mpegURL; charset=utf-8")), PLAYLIST);
        assert_eq!(type_of("a/master.M3U8", None), PLAYLIST);
        assert_eq!(type_of("a/init.mp4", Some("audio/mp4")), "audio/mp4");
        assert_eq!(type_of("a/1.m4s", Some("binary/octet-stream")), "video/iso.segment");
        assert_eq!(type_of("a/poster.jpg", Some("")), "image/jpeg");
        assert_eq!(type_of("a/story.vtt", None), "text/vtt");
        assert_eq!(type_of("a.mp4/noextension", None), "application/octet-stream");
    }

    #[test]
    fn only_outputs_of_an_attempt_are_immutable() {
        for key in ["processed/p/a.mov.hls/g1-a1/v0/1.m4s", "a.hls/g12-a30/video.m3u8", "x.hls/y.hls/g1-a1/z"]
        {
            assert_eq!(cache_control(key), IMMUTABLE, "{key}");
        }
        for key in [
            "processed/p/a.mov",
            "processed/p/a.mov.hls/master.m3u8",
            "processed/p/a.mov.images/poster.jpg",
            "processed/p/g1-a1/clip.mp4",
            "processed/p/a.hls/g1-a1",
            "processed/p/a.hls/g-a/1.m4s",
            "processed/p/a.hls/g1-a1x/1.m4s",
            "processed/p/a.hls/g1/1.m4s",
            "",
        ] {
            assert_eq!(cache_control(key), SHORT_LIVED, "{key}");
        }
    }
}
