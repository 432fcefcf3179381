//! Playlists whose URIs get the authorisation of the request.

use std::sync::LazyLock;

use http::{Method, StatusCode};
use m3u8_rs::Playlist;
use proptest::prelude::*;
use streamio_local::cdn::playlist::{MAX_REWRITTEN_BYTES, MAX_SOURCE_BYTES};
use url::Url;

use crate::clock::NOW;
use crate::memory_origin::MemoryOrigin;
use crate::signer::{ALL, ANY, cookies, policy, signed};
use crate::test_cdn::{BASE, TestCdn};

const KEY: &str = "processed/acme/clip.mp4.hls/master.m3u8";
const TYPE: &str = "application/vnd.apple.mpegurl";

fn parameters() -> String {
    static SIGNED: LazyLock<String> = LazyLock::new(|| {
        ANY.custom(&policy(&format!("{BASE}/processed/acme/clip.mp4.hls/*"), NOW + 60, None, None))
    });
    SIGNED.clone()
}

fn test_cdn(playlist: &str) -> TestCdn {
    TestCdn::with(MemoryOrigin::default().with(KEY, TYPE, playlist.to_owned()))
}

fn url() -> String {
    format!("{BASE}/{KEY}")
}

/// The playlist as a viewer with a custom policy in the URL receives it.
fn rewritten(playlist: &str, parameters: &str) -> String {
    let response = test_cdn(playlist).get(&signed(&url(), parameters));
    assert_eq!(response.status, StatusCode::OK);
    response.text().to_owned()
}

/// The rewritten playlist with `SIGNED` in place of the parameters.
fn rewritten_for_display(playlist: &str) -> String {
    let parameters = parameters();
    rewritten(playlist, &parameters).replace(&parameters, "SIGNED")
}

#[test]
fn every_own_uri_of_a_master_playlist_gets_the_parameters() {
    let master = r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="a, URI=b",DEFAULT=YES,URI="g1-a1/audio.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="URI",INSTREAM-ID="CC1"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=80000,URI="g1-a1/trick.m3u8?v=1",CODECS="avc1.64001f"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key"
#EXT-X-SESSION-DATA:DATA-ID="com.example",URI="/processed/acme/data.json#top"

# a comment with URI="x"
#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2",AUDIO="aac"
g1-a1/720p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000
../clip.mp4.hls/g1-a1/360p.m3u8#low
#EXT-X-STREAM-INF:BANDWIDTH=400000
https://elsewhere.example/240p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=300000
//elsewhere.example/180p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=200000
http://cdn.test:8082/processed/acme/clip.mp4.hls/90p.m3u8
"#;
    insta::assert_snapshot!(rewritten_for_display(master), @r##"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-INDEPENDENT-SEGMENTS
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="a, URI=b",DEFAULT=YES,URI="g1-a1/audio.m3u8?SIGNED"
    #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="URI",INSTREAM-ID="CC1"
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=80000,URI="g1-a1/trick.m3u8?v=1&SIGNED",CODECS="avc1.64001f"
    #EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key"
    #EXT-X-SESSION-DATA:DATA-ID="com.example",URI="/processed/acme/data.json?SIGNED#top"

    # a comment with URI="x"
    #EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2",AUDIO="aac"
    g1-a1/720p.m3u8?SIGNED
    #EXT-X-STREAM-INF:BANDWIDTH=800000
    ../clip.mp4.hls/g1-a1/360p.m3u8?SIGNED#low
    #EXT-X-STREAM-INF:BANDWIDTH=400000
    https://elsewhere.example/240p.m3u8
    #EXT-X-STREAM-INF:BANDWIDTH=300000
    //elsewhere.example/180p.m3u8
    #EXT-X-STREAM-INF:BANDWIDTH=200000
    http://cdn.test:8082/processed/acme/clip.mp4.hls/90p.m3u8?SIGNED
    "##);
}

#[test]
fn every_own_uri_of_a_media_playlist_gets_the_parameters() {
    let media = r#"#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-MAP:URI="init.mp4",BYTERANGE="700@0"
#EXT-X-KEY:METHOD=AES-128,URI="key?id=7",IV=0x00000000000000000000000000000001
#EXTINF:6.0,a title, URI="not one"
#EXT-X-BYTERANGE:100@0
1.m4s
#EXT-X-PART:DURATION=2,URI="2.part",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="3.part"
#EXT-X-RENDITION-REPORT:URI="../other.m3u8",LAST-MSN=2
#EXT-X-DATERANGE:ID="ad",X-ASSET-URI="ad.m3u8"
#EXTINF:6.0,
data:video/mp4;base64,AAAA
#EXTINF:6.0,
{$host}/4.m4s
#EXTINF:6.0,
5.m4s?Key-Pair-Id=K
#EXT-X-ENDLIST"#
        .replace('\n', "\r\n");
    insta::assert_snapshot!(rewritten_for_display(&media).replace('\r', "␍"), @r##"
    #EXTM3U␍
    #EXT-X-TARGETDURATION:6␍
    #EXT-X-MAP:URI="init.mp4?SIGNED",BYTERANGE="700@0"␍
    #EXT-X-KEY:METHOD=AES-128,URI="key?id=7&SIGNED",IV=0x00000000000000000000000000000001␍
    #EXTINF:6.0,a title, URI="not one"␍
    #EXT-X-BYTERANGE:100@0␍
    1.m4s?SIGNED␍
    #EXT-X-PART:DURATION=2,URI="2.part?SIGNED",INDEPENDENT=YES␍
    #EXT-X-PRELOAD-HINT:TYPE=PART,URI="3.part?SIGNED"␍
    #EXT-X-RENDITION-REPORT:URI="../other.m3u8?SIGNED",LAST-MSN=2␍
    #EXT-X-DATERANGE:ID="ad",X-ASSET-URI="ad.m3u8"␍
    #EXTINF:6.0,␍
    data:video/mp4;base64,AAAA␍
    #EXTINF:6.0,␍
    {$host}/4.m4s␍
    #EXTINF:6.0,␍
    5.m4s?Key-Pair-Id=K␍
    #EXT-X-ENDLIST
    "##);
}

#[test]
fn parameters_are_added_in_the_documented_order() {
    for signer in ALL {
        let text = policy(&format!("{BASE}/processed/*"), NOW + 60, None, None);
        let parameters = signer.custom(&text);
        let mut reversed: Vec<_> = parameters.split('&').collect();
        reversed.reverse();
        let output = rewritten("#EXTM3U\n1.m4s\n", &reversed.join("&"));
        assert_eq!(output, format!("#EXTM3U\n1.m4s?{parameters}\n"));
    }
}

#[test]
fn a_player_that_only_follows_uris_can_read_the_segments() {
    let folder = "processed/acme/clip.mp4.hls";
    let cdn = TestCdn::with(
        MemoryOrigin::default()
            .with(
                &format!("{folder}/master.m3u8"),
                TYPE,
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ng1-a1/v%201.m3u8\n",
            )
            .with(
                &format!("{folder}/g1-a1/v 1.m3u8"),
                TYPE,
                "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:1,\n1.m4s\n",
            )
            .with(&format!("{folder}/g1-a1/init.mp4"), "video/mp4", "init")
            .with(&format!("{folder}/g1-a1/1.m4s"), "video/mp4", "segment"),
    );
    for signer in ALL {
        let policy = policy(&format!("{BASE}/{folder}/*"), NOW + 60, None, None);
        let at =
            Url::parse(&signed(&format!("{BASE}/{folder}/master.m3u8"), &signer.custom(&policy))).unwrap();
        let Playlist::MasterPlaylist(master) =
            m3u8_rs::parse_playlist_res(&cdn.get(at.as_str()).body).unwrap()
        else {
            panic!("not a master playlist")
        };
        let at = at.join(&master.variants[0].uri).unwrap();
        let Playlist::MediaPlaylist(media) = m3u8_rs::parse_playlist_res(&cdn.get(at.as_str()).body).unwrap()
        else {
            panic!("not a media playlist")
        };
        let map = media.segments[0].map.as_ref().unwrap();
        assert_eq!(cdn.get(at.join(&map.uri).unwrap().as_str()).text(), "init");
        assert_eq!(cdn.get(at.join(&media.segments[0].uri).unwrap().as_str()).text(), "segment");
    }
}

#[test]
fn a_playlist_requested_with_cookies_or_a_canned_policy_is_not_changed() {
    let playlist = "#EXTM3U\n1.m4s\n";
    let cdn = test_cdn(playlist);
    let canned = cdn.get(&signed(&url(), &ANY.canned(&url(), NOW + 60)));
    let by_cookies = cdn.request(&Method::GET, &url(), &[("cookie", &cookies(&parameters()))]);
    for response in [canned, by_cookies] {
        assert_eq!(response.text(), playlist);
        assert_eq!(response.header("etag"), format!("\"etag-of-{}\"", KEY.len()));
    }
}

#[test]
fn only_playlists_are_rewritten() {
    let text = "#EXTM3U\n1.m4s\n";
    let wildcard = ANY.custom(&policy("*", NOW + 60, None, None));
    for (key, stored, rewritten) in [
        ("a.m3u8", "application/vnd.apple.mpegurl", true),
        ("a.m3u8", "application/x-mpegURL", true),
        ("a.m3u8", "", true),
        ("a.m3u8", "binary/octet-stream", true),
        ("playlist", "application/vnd.apple.mpegurl", true),
        ("a.m3u8", "video/mp4", false),
        ("a.txt", "text/plain", false),
    ] {
        let cdn = TestCdn::with(MemoryOrigin::default().with(key, stored, text));
        let response = cdn.get(&signed(&format!("{BASE}/{key}"), &wildcard));
        assert_eq!(response.text() != text, rewritten, "{key} {stored}");
        let expected = if rewritten { TYPE } else { stored };
        assert_eq!(response.header("content-type"), expected, "{key} {stored}");
    }
}

#[test]
fn an_object_that_is_not_a_playlist_is_not_changed() {
    for body in [&b"1.m4s\n"[..], b"", b"#EXTM3U\n\xff\n1.m4s\n", b"\n#EXTM3U\n1.m4s\n"] {
        let cdn = TestCdn::with(MemoryOrigin::default().with(KEY, TYPE, body.to_vec()));
        let response = cdn.get(&signed(&url(), &parameters()));
        assert_eq!((response.status, response.body), (StatusCode::OK, body.to_vec()));
    }
}

#[test]
fn a_playlist_that_is_too_large_is_not_changed() {
    let line = "1.m4s\n";
    let lines = |count: usize| format!("#EXTM3U\n{}", line.repeat(count));
    let source = usize::try_from(MAX_SOURCE_BYTES).unwrap();
    let parameters = parameters();
    let fitting = (MAX_REWRITTEN_BYTES - 8) / (line.len() + 1 + parameters.len());
    let short = lines(fitting);
    assert!(short.len() < source);
    assert!(rewritten(&short, &parameters).len() <= MAX_REWRITTEN_BYTES);
    assert_eq!(rewritten(&lines(fitting + 1), &parameters), lines(fitting + 1));

    let padding = |length: usize| format!("#EXTM3U\n1.m4s\n#{}", "x".repeat(length - 15));
    assert_ne!(rewritten(&padding(source), &parameters), padding(source));
    assert_eq!(rewritten(&padding(source + 1), &parameters), padding(source + 1));
}

#[test]
fn a_rewritten_playlist_has_its_own_tag_length_and_ranges() {
    let cdn = test_cdn("#EXTM3U\n1.m4s\n");
    let get = |url: &str, headers: &[(&str, &str)]| cdn.request(&Method::GET, url, headers);
    let one = signed(&url(), &parameters());
    let other = signed(&url(), &ANY.custom(&policy("*", NOW + 60, None, None)));
    let whole = get(&one, &[]);
    let etag = whole.header("etag");
    assert_ne!(etag, get(&other, &[]).header("etag"));
    assert_ne!(etag, format!("\"etag-of-{}\"", KEY.len()));
    assert_eq!(etag, get(&one, &[]).header("etag"));
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    assert_eq!(whole.header("cache-control"), "private, max-age=5");
    assert_eq!(whole.header("content-type"), TYPE);

    let head = cdn.request(&Method::HEAD, &one, &[]);
    assert_eq!((&head.headers, head.body.len()), (&whole.headers, 0));
    let part = get(&one, &[("range", "bytes=10-20")]);
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.body, whole.body[10..=20]);
    assert_eq!(get(&one, &[("if-none-match", etag)]).status, StatusCode::NOT_MODIFIED);
    assert_eq!(get(&other, &[("if-none-match", etag)]).status, StatusCode::OK);
    assert_eq!(get(&one, &[("range", "bytes=0-0"), ("if-range", "\"etag-of-39\"")]).status, StatusCode::OK);
}

/// URIs of the CDN.
fn own_uri() -> impl Strategy<Value = String> {
    let path = r"(\.\./|/)?[a-z0-9%._~-]{1,8}(/[a-z0-9._ -]{0,6}[a-z0-9])?";
    (path, prop::option::of(r"[a-z]=[a-z0-9/:?]{0,4}"), prop::option::of(r"[a-z=?]{1,4}")).prop_map(
        |(path, query, fragment)| {
            let query = query.map_or(String::new(), |query| format!("?{query}"));
            path + &query + &fragment.map_or(String::new(), |fragment| format!("#{fragment}"))
        },
    )
}

fn foreign_uri() -> impl Strategy<Value = String> {
    r"(https?://elsewhere\.example|//elsewhere\.example|data:|skd:)/?[a-z0-9/?=]{1,8}"
}

fn uri() -> impl Strategy<Value = (String, bool)> {
    prop_oneof![
        4 => own_uri().prop_map(|uri| (uri, true)),
        1 => foreign_uri().prop_map(|uri| (uri, false)),
    ]
}

/// A media playlist and its URIs in order, each with whether it must get the parameters.
fn media_playlist() -> impl Strategy<Value = (String, Vec<(String, bool)>)> {
    let segment = (uri(), prop::option::of(uri()), prop::option::of(uri()), r"[a-z .]{0,6}");
    (prop::collection::vec(segment, 1..6), prop::bool::ANY, prop::bool::ANY).prop_map(
        |(segments, windows, last_line)| {
            let mut lines = vec!["#EXTM3U".to_owned(), "#EXT-X-TARGETDURATION:6".to_owned()];
            let mut uris = Vec::new();
            for (segment, key, map, title) in segments {
                if let Some((uri, own)) = key {
                    lines.push(format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\",KEYFORMAT=\"a,URI=b\""));
                    uris.push((uri, own));
                }
                if let Some((uri, own)) = map {
                    lines.push(format!("#EXT-X-MAP:URI=\"{uri}\",BYTERANGE=\"720@0\""));
                    uris.push((uri, own));
                }
                lines.push(format!("#EXTINF:6.000,{title}"));
                lines.push(segment.0.clone());
                uris.push(segment);
            }
            let end = if windows { "\r\n" } else { "\n" };
            let text = lines.join(end) + if last_line { end } else { "" };
            (text, uris)
        },
    )
}

/// The URIs of a media playlist, in order, as an independent parser reads them.
fn uris_of(playlist: &str) -> Vec<String> {
    let Playlist::MediaPlaylist(playlist) = m3u8_rs::parse_playlist_res(playlist.as_bytes()).unwrap() else {
        panic!("not a media playlist")
    };
    let of_segment = |segment: m3u8_rs::MediaSegment| {
        let key = segment.key.and_then(|key| key.uri);
        let map = segment.map.map(|map| map.uri);
        key.into_iter().chain(map).chain([segment.uri]).collect::<Vec<_>>()
    };
    playlist.segments.into_iter().flat_map(of_segment).collect()
}

fn expected(uri: &str, own: bool, parameters: &str) -> String {
    if !own {
        return uri.to_owned();
    }
    let (before, fragment) =
        uri.split_once('#').map_or((uri, String::new()), |(uri, rest)| (uri, format!("#{rest}")));
    format!("{}{fragment}", signed(before, parameters))
}

proptest! {
    #[test]
    fn own_uris_get_the_parameters_and_nothing_else_is_changed((playlist, uris) in media_playlist()) {
        let parameters = parameters();
        let output = rewritten(&playlist, &parameters);
        let expected: Vec<_> = uris.iter().map(|(uri, own)| expected(uri, *own, &parameters)).collect();
        prop_assert_eq!(uris_of(&output), expected);
        let original: Vec<_> = uris.into_iter().map(|(uri, _)| uri).collect();
        prop_assert_eq!(uris_of(&playlist), original);

        let stripped = output.replace(&format!("?{parameters}"), "").replace(&format!("&{parameters}"), "");
        prop_assert_eq!(stripped, playlist);
    }

    #[test]
    fn parameters_are_never_added_to_a_uri_of_another_origin(
        uri in r"[ \t]?(http:|https:|HTTP:|ftp:|)[/\\]{0,3}(cdn\.test|elsewhere\.example|user@cdn\.test|)(:8082|:80|)[/\\@:.?#a%{$}\t ]{0,5}[a-z]{0,2}",
        in_attribute: bool,
    ) {
        let parameters = parameters();
        let line = if in_attribute { format!("#EXT-X-MAP:URI=\"{uri}\"") } else { uri.clone() };
        let playlist = format!("#EXTM3U\n{line}\n");
        let output = rewritten(&playlist, &parameters);
        if output != playlist {
            let base = Url::parse(&url()).unwrap();
            let target = base.join(&uri);
            prop_assert!(target.as_ref().is_ok_and(|target| target.origin() == base.origin()), "{:?}: {:?}", uri, target);
            let after = output.lines().nth(1).unwrap().trim_start_matches("#EXT-X-MAP:URI=\"").trim_end_matches('"');
            let target = base.join(after).unwrap();
            prop_assert_eq!(target.origin(), base.origin());
        }
    }

    #[test]
    fn nothing_but_parameters_is_added_to_any_text(text in r#"(#EXT-X-[A-Z]{1,3}:?|URI=|"|,|[a-z/?#&=\r\n \\{$}:.é]){0,40}"#) {
        let parameters = parameters();
        let playlist = format!("#EXTM3U\n{text}");
        let output = rewritten(&playlist, &parameters);
        let stripped = output.replace(&format!("?{parameters}"), "").replace(&format!("&{parameters}"), "");
        prop_assert_eq!(stripped, playlist);
    }
}
