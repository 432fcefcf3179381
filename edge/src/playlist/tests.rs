//! The reference for URIs is the `url` crate, which implements the standard that browsers follow; the reference for playlists is the
//! parser `m3u8-rs`.

use m3u8_rs::Playlist;
use proptest::prelude::*;
use url::Url;

use super::*;

const CDN: &str = "https://cdn.example/videos";
const PLAYLIST: &str = "https://cdn.example/videos/processed/acme/clip.mp4.hls/master.m3u8";
const PLAY: &str = "https://api.example/play";
const FOR_PLAYLISTS: &str = "Policy=p~1_&Signature=s&Key-Pair-Id=K";
const FOR_MEDIA: &str = "Policy=m&Signature=t&Key-Pair-Id=K";

fn links() -> Links<'static> {
    Links::new((CDN, PLAYLIST), PLAY, FOR_PLAYLISTS, FOR_MEDIA).unwrap()
}

fn rewritten(source: &str) -> Result<String, NotRewritten> {
    rewrite(source.as_bytes(), &links()).map(|bytes| String::from_utf8(bytes).unwrap())
}

/// The rewritten playlist with short names in place of the long parts.
fn shown(source: &str) -> String {
    let text = rewritten(source).unwrap().replace(FOR_PLAYLISTS, "PLAYLISTS").replace(FOR_MEDIA, "MEDIA");
    text.replace(PLAY, "PLAY:").replace(CDN, "CDN:").replace('\r', "␍")
}

#[test]
fn playlists_lead_to_the_edge_and_other_files_to_the_cdn() {
    let master = r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-CONTENT-STEERING:SERVER-URI="steering.json",PATHWAY-ID="a"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="a, URI=b",DEFAULT=YES,URI="g1-a1/audio.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="URI",INSTREAM-ID="CC1"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=80000,URI="g1-a1/trick.m3u8?v=1",CODECS="avc1.64001f"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key"
#EXT-X-SESSION-DATA:DATA-ID="com.example",URI="/videos/processed/acme/data.json#top"

# a comment with URI="x"
#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2",AUDIO="aac"
g1-a1/720p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000
../clip.mp4.hls/./g1-a1/360p.m3u8#low
#EXT-X-STREAM-INF:BANDWIDTH=400000
https://elsewhere.example/240p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=300000
//elsewhere.example/180p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=200000
https://cdn.example/videos/processed/acme/clip.mp4.hls/90p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=100000
/other/45p.m3u8
"#;
    insta::assert_snapshot!(shown(master), @r##"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-INDEPENDENT-SEGMENTS
    #EXT-X-CONTENT-STEERING:SERVER-URI="CDN:/processed/acme/clip.mp4.hls/steering.json?MEDIA",PATHWAY-ID="a"
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="a, URI=b",DEFAULT=YES,URI="PLAY:/processed/acme/clip.mp4.hls/g1-a1/audio.m3u8?PLAYLISTS"
    #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="URI",INSTREAM-ID="CC1"
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=80000,URI="PLAY:/processed/acme/clip.mp4.hls/g1-a1/trick.m3u8?v=1&PLAYLISTS",CODECS="avc1.64001f"
    #EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key"
    #EXT-X-SESSION-DATA:DATA-ID="com.example",URI="CDN:/processed/acme/data.json?MEDIA#top"

    # a comment with URI="x"
    #EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2",AUDIO="aac"
    PLAY:/processed/acme/clip.mp4.hls/g1-a1/720p.m3u8?PLAYLISTS
    #EXT-X-STREAM-INF:BANDWIDTH=800000
    PLAY:/processed/acme/clip.mp4.hls/g1-a1/360p.m3u8?PLAYLISTS#low
    #EXT-X-STREAM-INF:BANDWIDTH=400000
    https://elsewhere.example/240p.m3u8
    #EXT-X-STREAM-INF:BANDWIDTH=300000
    https://elsewhere.example/180p.m3u8
    #EXT-X-STREAM-INF:BANDWIDTH=200000
    PLAY:/processed/acme/clip.mp4.hls/90p.m3u8?PLAYLISTS
    #EXT-X-STREAM-INF:BANDWIDTH=100000
    https://cdn.example/other/45p.m3u8?MEDIA
    "##);
}

#[test]
fn every_uri_of_a_media_playlist_is_rewritten_and_line_ends_are_kept() {
    let media = r#"#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-MAP:URI="init.mp4",BYTERANGE="700@0"
#EXT-X-KEY:METHOD=AES-128,URI="key?id=7",IV=0x00000000000000000000000000000001
#EXTINF:6.0,a title, URI="not one"
#EXT-X-BYTERANGE:100@0
1.m4s
#EXT-X-PART:DURATION=2,URI="2.part",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="3.part"
#EXT-X-RENDITION-REPORT:URI="../clip.mp4.hls/other.m3u8",LAST-MSN=2
#EXT-X-DATERANGE:ID="ad",X-ASSET-URI="ad.m3u8"
#EXT-X-UNKNOWN:A=1,B="x",URI="new.bin"
#EXTINF:6.0,
data:video/mp4;base64,AAAA
#EXTINF:6.0,
  5.m4s?Key-Pair-Id=K  
#EXTINF:6.0,
6.m4s?
#EXT-X-ENDLIST"#
        .replace('\n', "\r\n");
    insta::assert_snapshot!(shown(&media), @r##"
    #EXTM3U␍
    #EXT-X-TARGETDURATION:6␍
    #EXT-X-MAP:URI="CDN:/processed/acme/clip.mp4.hls/init.mp4?MEDIA",BYTERANGE="700@0"␍
    #EXT-X-KEY:METHOD=AES-128,URI="CDN:/processed/acme/clip.mp4.hls/key?id=7&MEDIA",IV=0x00000000000000000000000000000001␍
    #EXTINF:6.0,a title, URI="not one"␍
    #EXT-X-BYTERANGE:100@0␍
    CDN:/processed/acme/clip.mp4.hls/1.m4s?MEDIA␍
    #EXT-X-PART:DURATION=2,URI="CDN:/processed/acme/clip.mp4.hls/2.part?MEDIA",INDEPENDENT=YES␍
    #EXT-X-PRELOAD-HINT:TYPE=PART,URI="CDN:/processed/acme/clip.mp4.hls/3.part?MEDIA"␍
    #EXT-X-RENDITION-REPORT:URI="PLAY:/processed/acme/clip.mp4.hls/other.m3u8?PLAYLISTS",LAST-MSN=2␍
    #EXT-X-DATERANGE:ID="ad",X-ASSET-URI="PLAY:/processed/acme/clip.mp4.hls/ad.m3u8?PLAYLISTS"␍
    #EXT-X-UNKNOWN:A=1,B="x",URI="CDN:/processed/acme/clip.mp4.hls/new.bin?MEDIA"␍
    #EXTINF:6.0,␍
    data:video/mp4;base64,AAAA␍
    #EXTINF:6.0,␍
      CDN:/processed/acme/clip.mp4.hls/5.m4s?Key-Pair-Id=K  ␍
    #EXTINF:6.0,␍
    CDN:/processed/acme/clip.mp4.hls/6.m4s?&MEDIA␍
    #EXT-X-ENDLIST
    "##);
}

#[test]
fn texts_that_are_no_playlists_and_uris_that_players_resolve_differently_are_refused() {
    for text in ["", "1.m4s\n", "\n#EXTM3U\n", "#EXTM3U8\n", "\u{feff}#EXTM3U\n", "<html>"] {
        assert_eq!(rewritten(text), Err(NotRewritten::NotAPlaylist), "{text:?}");
    }
    for uri in [
        "{$host}/4.m4s",
        "a\\b",
        "\\\\elsewhere.example/a",
        "a b.m4s",
        "a\tb",
        "é.m4s",
        "a\rb",
        ":a",
        "1:a",
        "a%zz",
        "https:a",
        "http:/a",
        "https://cdn.example/videos/\\x",
    ] {
        assert_eq!(
            rewritten(&format!("#EXTM3U\n\n{uri}\n")),
            Err(NotRewritten::InvalidUri { line: 3 }),
            "{uri:?}"
        );
        assert!(rewritten(&format!("#EXTM3U\n#EXT-X-MAP:URI=\"{uri}\"\n")).is_err(), "{uri:?}");
    }
    assert!(rewrite(b"#EXTM3U\n#EXTINF:1,\xff\na.m4s\n", &links()).is_ok(), "titles need not be UTF-8");
}

#[test]
fn a_playlist_that_is_too_large_is_refused() {
    let padded = |length: usize| format!("#EXTM3U\n#{}", "x".repeat(length - 9));
    assert_eq!(rewritten(&padded(MAX_SOURCE_BYTES)).unwrap().len(), MAX_SOURCE_BYTES);
    assert_eq!(rewritten(&padded(MAX_SOURCE_BYTES + 1)), Err(NotRewritten::TooLarge));
    let long = "s".repeat(4_000);
    let links = Links::new((CDN, PLAYLIST), PLAY, &long, &long).unwrap();
    let repeated = |count: usize| format!("#EXTM3U\n{}", "a\n".repeat(count));
    assert!(rewrite(repeated(3_000).as_bytes(), &links).is_ok());
    assert_eq!(rewrite(repeated(300_000).as_bytes(), &links), Err(NotRewritten::TooLargeWithSignatures));
}

#[test]
fn only_playlists_below_the_cdns_base_url_have_links() {
    let new = |cdn, playlist| Links::new((cdn, playlist), PLAY, FOR_PLAYLISTS, FOR_MEDIA).is_some();
    assert!(new("http://127.0.0.1:9001", "http://127.0.0.1:9001/processed/acme/a.m3u8"));
    assert!(!new("https://cdn.example", "https://cdn.example.evil/processed/acme/a.m3u8"));
    assert!(!new("https://cdn.example", "https://cdn.example/raw/acme/a.m3u8"));
    assert!(!new("cdn.example", "cdn.example/processed/acme/a.m3u8"));
}

/// Where a player goes for a URI of the original playlist, if the viewer's query is on it.
fn expected(uri: &str) -> String {
    let mut target = Url::parse(PLAYLIST).unwrap().join(uri).unwrap();
    if target.origin() != Url::parse(CDN).unwrap().origin() {
        return target.to_string();
    }
    let is_playlist = target
        .path()
        .strip_prefix("/videos/processed/")
        .is_some_and(|key| key.rsplit_once('.').is_some_and(|(_, extension)| extension == "m3u8"));
    let viewers = if is_playlist { FOR_PLAYLISTS } else { FOR_MEDIA };
    let query = target.query().map_or(viewers.to_owned(), |query| format!("{query}&{viewers}"));
    target.set_query(Some(&query));
    if is_playlist { target.as_str().replacen(CDN, PLAY, 1) } else { target.to_string() }
}

/// Valid URI references: of the CDN in every form, and of other origins.
fn uri() -> impl Strategy<Value = String> {
    let segment = r"(\.|\.\.|[a-z0-9~_-]{1,4}(%20|%C3%A9|\+|\.m4s|\.m3u8|\.)?)";
    let path = prop::collection::vec(segment, 1..4).prop_map(|segments| segments.join("/"));
    let start = prop_oneof![
        6 => Just(""),
        1 => Just("/"),
        1 => Just("/videos/processed/"),
        1 => Just("https://cdn.example/"),
        1 => Just("https://cdn.example/videos/processed/acme/"),
        1 => Just("//cdn.example/"),
        1 => Just("//elsewhere.example/"),
        1 => Just("https://elsewhere.example/"),
        1 => Just("https://cdn.example.evil/"),
        1 => Just("https://cdn.example@evil/"),
        1 => Just("https://cdn.example:444/"),
        1 => Just("http://cdn.example/"),
    ];
    let query = prop::option::of(r"[a-z]=[a-z0-9/:?]{0,4}");
    (start, path, query, prop::option::of(r"[a-z=?]{1,4}")).prop_map(|(start, path, query, fragment)| {
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        format!("{start}{path}{query}{}", fragment.map_or(String::new(), |fragment| format!("#{fragment}")))
    })
}

/// The URIs of a media playlist, in order, as an independent parser reads them.
fn uris_of(playlist: &str) -> Vec<String> {
    let Ok(Playlist::MediaPlaylist(playlist)) = m3u8_rs::parse_playlist_res(playlist.as_bytes()) else {
        panic!("not a media playlist: {playlist}")
    };
    let of_segment = |segment: m3u8_rs::MediaSegment| {
        let key = segment.key.and_then(|key| key.uri);
        let map = segment.map.map(|map| map.uri);
        key.into_iter().chain(map).chain([segment.uri]).collect::<Vec<_>>()
    };
    playlist.segments.into_iter().flat_map(of_segment).collect()
}

/// A media playlist and its URIs in order.
fn media_playlist() -> impl Strategy<Value = (String, Vec<String>)> {
    let segment = (uri(), prop::option::of(uri()), prop::option::of(uri()), r"[a-z .]{0,6}");
    (prop::collection::vec(segment, 1..6), prop::bool::ANY, prop::bool::ANY).prop_map(
        |(segments, windows, last_line)| {
            let mut lines = vec!["#EXTM3U".to_owned(), "#EXT-X-TARGETDURATION:6".to_owned()];
            let mut uris = Vec::new();
            for (segment, key, map, title) in segments {
                for (uri, start, rest) in [
                    (key, "#EXT-X-KEY:METHOD=AES-128,URI=", ",KEYFORMAT=\"a,URI=b\""),
                    (map, "#EXT-X-MAP:URI=", ",BYTERANGE=\"720@0\""),
                ] {
                    if let Some(uri) = uri {
                        lines.push(format!("{start}\"{uri}\"{rest}"));
                        uris.push(uri);
                    }
                }
                lines.extend([format!("#EXTINF:6.000,{title}"), segment.clone()]);
                uris.push(segment);
            }
            let end = if windows { "\r\n" } else { "\n" };
            (lines.join(end) + if last_line { end } else { "" }, uris)
        },
    )
}

/// Undoes the rewriting of each URI in `output`, in order.
fn with_originals(output: &str, originals: &[String]) -> String {
    let (mut text, mut rest) = (String::new(), output);
    for (new, original) in uris_of(output).iter().zip(originals) {
        let at = rest.find(new.as_str()).unwrap();
        text.push_str(&rest[..at]);
        text.push_str(original);
        rest = &rest[at + new.len()..];
    }
    text + rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_player_resolves_each_uri_to_the_original_target_with_the_query_and_nothing_else_is_changed(
        (playlist, uris) in media_playlist()
    ) {
        prop_assert_eq!(&uris_of(&playlist), &uris);
        let output = rewritten(&playlist).unwrap();
        let base = Url::parse(&PLAYLIST.replacen(CDN, PLAY, 1)).unwrap();
        for (new, original) in uris_of(&output).iter().zip(&uris) {
            let target = base.join(new).unwrap();
            prop_assert_eq!(target.as_str(), expected(original), "{}", original);
        }
        prop_assert_eq!(with_originals(&output, &uris), playlist);
    }

    #[test]
    fn the_signature_is_never_on_a_uri_of_another_origin(
        uri in r"[ \t]?(http:|https:|HTTP:|ftp:|)[/\\]{0,3}(cdn\.example|elsewhere\.example|user@cdn\.example|)(:8082|:80|:443|)[/\\@:.?#a%{$}\t ]{0,5}[a-z]{0,2}",
        in_attribute: bool,
    ) {
        let line = if in_attribute { format!("#EXT-X-MAP:URI=\"{uri}\"") } else { uri.clone() };
        if let Ok(output) = rewritten(&format!("#EXTM3U\n{line}\n")) {
            let line = output.lines().nth(1).unwrap();
            let after = line.trim_start_matches("#EXT-X-MAP:URI=\"").trim_end_matches('"');
            if after.contains("Signature=") {
                let target = Url::parse(after.trim()).unwrap();
                let allowed = [CDN, PLAY].map(|own| Url::parse(own).unwrap().origin());
                prop_assert!(allowed.contains(&target.origin()), "{:?}: {:?}", uri, target);
            }
        }
    }

    #[test]
    fn any_text_is_rewritten_or_refused_without_a_panic(text in r#"(#EXT-X-[A-Z]{1,3}:?|URI=|"|,|[a-z/?#&=\r\n \\{$}:.é%]){0,40}"#) {
        if let Ok(output) = rewritten(&format!("#EXTM3U\n{text}")) {
            prop_assert_eq!(output.lines().count(), format!("#EXTM3U\n{text}").lines().count());
        }
    }
}
