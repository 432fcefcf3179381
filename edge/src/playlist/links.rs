//! Where the URIs of one playlist lead.

use iri_string::format::ToDedicatedString as _;
use iri_string::resolve::FixedBaseResolver;
use iri_string::types::{UriAbsoluteStr, UriReferenceStr};

/// The parameters of a signature. A URI that has one of them is already signed.
const SIGNATURE_PARAMETERS: [&str; 5] = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];

/// The path of processed keys below the CDN's base URL.
const PROCESSED: &str = "/processed/";

/// Where the URIs of one playlist lead, for one viewer.
pub struct Links<'a> {
    /// The CDN's base URL, without a slash at its end.
    cdn: &'a str,
    /// `scheme://host[:port]` of the CDN.
    cdn_origin: &'a str,
    /// The URL of the playlist at the CDN, without a query: the base of relative URIs.
    playlist: &'a UriAbsoluteStr,
    /// The URL of the playlist's folder, with a slash at its end.
    folder: &'a str,
    /// The edge's URL that corresponds to the CDN's base URL: `…/play`.
    play: &'a str,
    /// The edge's URL that corresponds to `folder`.
    play_folder: String,
    /// The query of playlists, after `?`.
    playlist_query: String,
    /// The query of all other files, after `?`.
    media_query: String,
}

/// The end of a playlist's key, in the only spelling that `/play` accepts.
const PLAYLIST_SUFFIX: &str = ".m3u8";

/// A resolved URI of the CDN.
struct OwnUri<'a> {
    /// The beginning of the URL.
    start: &'a str,
    /// The rest of the URL, without query and fragment.
    rest: &'a str,
    query: Option<&'a str>,
    /// With its `#`; may be empty.
    fragment: &'a str,
}

impl<'a> Links<'a> {
    /// The links in the playlist at `playlist`, a URL below `cdn`, the CDN's base URL without a slash at its end. `play` is the
    /// edge's URL that corresponds to `cdn`. `None` unless these are such URLs.
    ///
    /// The queries have no leading `?` and only characters that need no escaping in a URL.
    pub fn new(
        (cdn, playlist): (&'a str, &'a str),
        play: &'a str,
        playlist_query: &'a str,
        media_query: &'a str,
    ) -> Option<Self> {
        let folder = &playlist[..=playlist.rfind('/')?];
        let host_at = cdn.find("://")? + 3;
        let cdn_origin = &cdn[..cdn[host_at..].find('/').map_or(cdn.len(), |path_at| host_at + path_at)];
        let below = folder.strip_prefix(cdn).filter(|below| below.starts_with(PROCESSED))?;
        let playlist = UriAbsoluteStr::new(playlist).ok()?;
        let play_folder = [play, below].concat();
        let [playlist_query, media_query] = [playlist_query, media_query].map(|query| ["?", query].concat());
        Some(Self { cdn, cdn_origin, playlist, folder, play, play_folder, playlist_query, media_query })
    }

    /// The length that rewriting adds at most to a relative URI without a query.
    pub(super) fn longest_addition(&self) -> usize {
        self.folder.len() + self.media_query.len().max(self.playlist_query.len())
    }

    /// Writes the URI of a playlist as it is to be in the rewritten one. `None` if it is relative or of the CDN, and invalid.
    pub(super) fn write(&self, out: &mut Vec<u8>, uri: &[u8]) -> Option<()> {
        if is_plain(uri) {
            // Almost all URIs: the folder followed by the URI is the resolved URI already.
            let (folder, query) = if uri.ends_with(PLAYLIST_SUFFIX.as_bytes()) {
                (&*self.play_folder, &self.playlist_query)
            } else {
                (self.folder, &self.media_query)
            };
            for part in [folder.as_bytes(), uri, query.as_bytes()] {
                out.extend_from_slice(part);
            }
            return Some(());
        }
        if uri.is_empty() {
            return Some(());
        }
        if let Some(scheme) = scheme(uri)
            && !self.is_own(uri)
        {
            // Browsers resolve `https:a` as a relative URI if the page is from https, and as `https://a` if it is not.
            let is_http = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
            if is_http && !uri[scheme.len() + 1..].starts_with(b"//") {
                return None;
            }
            out.extend_from_slice(uri);
            return Some(());
        }
        let reference = UriReferenceStr::new(str::from_utf8(uri).ok()?).ok()?;
        let resolved = FixedBaseResolver::new(self.playlist).resolve(reference);
        resolved.ensure_rfc3986_normalizable().ok()?;
        let resolved = resolved.to_dedicated_string();
        let resolved = resolved.as_str();
        if !self.is_own(resolved.as_bytes()) {
            // `//host/…`: now absolute, because the edge's scheme may not be the CDN's.
            out.extend_from_slice(resolved.as_bytes());
            return Some(());
        }
        let (before, fragment) = resolved.split_at(resolved.find('#').unwrap_or(resolved.len()));
        let (path, query) =
            before.split_once('?').map_or((before, None), |(path, query)| (path, Some(query)));
        let (start, rest) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
        self.write_own(out, &OwnUri { start, rest, query, fragment });
        Some(())
    }

    /// Whether an absolute URI is of the CDN's origin. The slash after the origin excludes `https://cdn.example.evil` and
    /// `https://cdn.example@evil`.
    fn is_own(&self, uri: &[u8]) -> bool {
        uri.strip_prefix(self.cdn_origin.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
    }

    fn write_own(&self, out: &mut Vec<u8>, uri: &OwnUri<'_>) {
        let below = uri.start.strip_prefix(self.cdn).filter(|below| below.starts_with(PROCESSED));
        let playlist = below.filter(|_| uri.rest.ends_with(PLAYLIST_SUFFIX));
        let (parts, query) = match playlist {
            Some(below) => ([self.play, below], &*self.playlist_query),
            None => ([uri.start, ""], &*self.media_query),
        };
        let query = match uri.query {
            None => ["", "", query],
            Some(own) if has_signature(own) => ["?", own, ""],
            Some(own) => ["?", own, &["&", &query[1..]].concat()],
        };
        for part in parts.into_iter().chain([uri.rest]).chain(query).chain([uri.fragment]) {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

fn has_signature(query: &str) -> bool {
    query
        .split('&')
        .any(|parameter| SIGNATURE_PARAMETERS.contains(&parameter.split('=').next().unwrap_or_default()))
}

/// Whether a URI is a relative path of unreserved characters without empty or dot segments: what it resolves to is then the folder
/// and itself.
fn is_plain(uri: &[u8]) -> bool {
    let mut before = b'/';
    for byte in uri {
        let fits = match byte {
            b'/' | b'.' => before != b'/',
            _ => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~'),
        };
        if !fits {
            return false;
        }
        before = *byte;
    }
    before != b'/'
}

/// The scheme of an absolute URI, without its colon: <https://www.rfc-editor.org/rfc/rfc3986#section-3.1>.
fn scheme(uri: &[u8]) -> Option<&[u8]> {
    let scheme = &uri[..uri.iter().position(|byte| *byte == b':')?];
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (scheme.first()?.is_ascii_alphabetic() && scheme.iter().all(fits)).then_some(scheme)
}
