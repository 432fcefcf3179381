//! HLS playlists that the edge rewrites for a viewer.

use streamio_edge::playlist::{Links, MAX_REWRITTEN_BYTES, MAX_SOURCE_BYTES, rewrite};
use url::Url;

const CDN: &str = "https://cdn.example";
const PLAYLIST: &str = "https://cdn.example/processed/acme/a.mp4.hls/master.m3u8";
const PLAY: &str = "https://api.example/play";
const QUERY: &str = "Policy=p__&Signature=s~-&Key-Pair-Id=K";

/// A rewritten playlist has the same lines but for its URIs, does not change when it is rewritten again, and gives the signature to no
/// other host, as browsers resolve URIs.
pub fn check(data: &[u8]) {
    let links = Links::new((CDN, PLAYLIST), PLAY, QUERY, QUERY).expect("the URLs fit");
    let Ok(rewritten) = rewrite(data, &links) else { return };
    assert!(data.len() <= MAX_SOURCE_BYTES && rewritten.len() <= MAX_REWRITTEN_BYTES);
    assert!(rewritten.starts_with(b"#EXTM3U") && data.starts_with(b"#EXTM3U"));
    let split = |text: &[u8]| text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (before, after) = (split(data), split(&rewritten));
    assert_eq!(before.len(), after.len());
    let base = Url::parse(PLAYLIST).expect("it is a URL");
    for (before, after) in before.iter().zip(&after) {
        let trimmed = after.trim_ascii();
        if before.trim_ascii().starts_with(b"#") || before.trim_ascii().is_empty() {
            // A tag may have URIs among its attributes; a comment and an empty line have none.
            assert!(before == after || before.starts_with(b"#EXT"));
            for quoted in after.split(|byte| *byte == b'"').skip(1).step_by(2) {
                check_host(&base, quoted, before);
            }
        } else {
            check_host(&base, trimmed, before);
        }
    }
    assert_eq!(rewrite(&rewritten, &links).expect("what was rewritten is a playlist"), rewritten);
}

/// Only URIs of the CDN and of the edge have the signature, unless the playlist had it already.
fn check_host(base: &Url, uri: &[u8], before: &[u8]) {
    let has_signature = |text: &[u8]| text.windows(QUERY.len()).any(|part| part == QUERY.as_bytes());
    if !has_signature(uri) || has_signature(before) {
        return;
    }
    let text = std::str::from_utf8(uri).expect("rewritten URIs are ASCII");
    let url = base.join(text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    assert!(matches!(url.host_str(), Some("cdn.example" | "api.example")), "{text:?}");
    assert_eq!((url.scheme(), url.port()), ("https", None), "{text:?}");
}
