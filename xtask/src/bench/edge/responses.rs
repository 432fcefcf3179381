//! Checks that both Workers respond with equivalent grants, so that the benchmark measures the same work.

use std::collections::BTreeMap;

use serde_json::Value;

/// Checks that both responses grant the same upload. If both were signed in the same second, the signatures must be equal.
pub(super) fn check_upload(ours: &Value, peer: &Value) -> Result<(), String> {
    let [our_url, peer_url] = [ours, peer].map(|response| text(response, "uploadUrl"));
    let (our_url, peer_url) = (our_url?, peer_url?);
    for (side, url) in [("our", our_url), ("the peer's", peer_url)] {
        let signature = parameters(url).get("X-Amz-Signature").copied().unwrap_or_default();
        if signature.len() != 64 || !signature.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("{side} upload URL has no signature"));
        }
    }
    for field in ["s3Key", "method", "headers", "videoId"] {
        equal(field, &ours[field], &peer[field])?;
    }
    if ours["s3Key"] != "projects/acme/films/2026/clip-00000001.mp4" {
        return Err(format!("the grant is for {}", ours["s3Key"]));
    }
    for field in ["grantId", "expiresAt"] {
        text(ours, field)?;
        text(peer, field)?;
    }
    same_parameters(our_url, peer_url, "X-Amz-Date", "X-Amz-Signature")
}

/// Checks that both responses contain a signed URL of the same file.
pub(super) fn check_playback(ours: &Value, peer: &Value) -> Result<(), String> {
    let (our_url, peer_url) = (text(ours, "signedUrl")?, text(peer, "signedUrl")?);
    for (side, url) in [("our", our_url), ("the peer's", peer_url)] {
        let named = parameters(url);
        // The shortest signature is ECDSA in DER: two integers of about 32 bytes, in base64.
        let signed = named.get("Signature").is_some_and(|signature| signature.len() >= 88);
        if !signed || !named.contains_key("Expires") {
            return Err(format!("{side} playback URL has no signature"));
        }
    }
    let without_query = |url: &str| url.split_once('?').map(|(before, _)| Value::from(before));
    equal("signedUrl", &without_query(our_url).into(), &without_query(peer_url).into())?;
    for field in ["grantId", "expiresAt"] {
        text(ours, field)?;
        text(peer, field)?;
    }
    let without_time = |url| {
        let mut named = parameters(url);
        named.retain(|name, _| !["Expires", "Signature"].contains(name));
        serde_json::json!(named)
    };
    equal("signedUrl", &without_time(our_url), &without_time(peer_url))
}

/// Checks that both playlists have the same URIs, each with the signature, whatever else the peer's writer changes.
pub(super) fn check_playlist(ours: &Value, peer: &Value) -> Result<(), String> {
    let [ours, peer] = [ours, peer].map(|text| uris(text.as_str().unwrap_or_default()));
    if ours.len() != 1801 {
        return Err(format!(
            "our playlist has {} URIs, not 1800 segments and their initialization",
            ours.len()
        ));
    }
    match ours.iter().zip(&peer).find(|(ours, peer)| ours != peer) {
        Some((ours, peer)) => Err(format!("our playlist has {ours}, the peer's {peer}")),
        None if ours.len() != peer.len() => Err(format!("the peer's playlist has {} URIs", peer.len())),
        None if !ours.iter().all(|uri| uri.contains("&Signature=")) => {
            Err("a URI has no signature".to_owned())
        }
        None => Ok(()),
    }
}

/// The URIs of a media playlist: those of segments, and of the initialization.
fn uris(playlist: &str) -> Vec<&str> {
    let uri = |line| match line {
        "" => None,
        tag if tag.starts_with('#') => tag.strip_prefix("#EXT-X-MAP:URI=\"")?.split('"').next(),
        uri => Some(uri),
    };
    playlist.lines().filter_map(uri).collect()
}

/// Compares the parameters of two URLs. If their times differ, ignores the time and the signature.
fn same_parameters(our_url: &str, peer_url: &str, time: &str, signature: &str) -> Result<(), String> {
    let (mut ours, mut peer) = (parameters(our_url), parameters(peer_url));
    if ours.get(time) != peer.get(time) {
        for named in [&mut ours, &mut peer] {
            named.retain(|name, _| *name != time && *name != signature);
        }
    }
    equal("the URL's query", &serde_json::json!(ours), &serde_json::json!(peer))
}

/// Returns a field of a response. The error lists the names of the fields and omits the values, which may be signed URLs.
fn text<'a>(response: &'a Value, field: &str) -> Result<&'a str, String> {
    response[field]
        .as_str()
        .ok_or_else(|| format!("a response has no `{field}`; its fields are: {}", field_names(response)))
}

fn field_names(response: &Value) -> String {
    let names = response.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>().join(", "));
    names.unwrap_or_else(|| "none".to_owned())
}

fn equal(what: &str, ours: &Value, peer: &Value) -> Result<(), String> {
    if ours == peer { Ok(()) } else { Err(format!("{what}: ours is {ours}, the peer's {peer}")) }
}

/// Returns the parameters of a URL's query by name.
fn parameters(url: &str) -> BTreeMap<&str, &str> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|parameter| parameter.split_once('=')).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{check_playback, check_playlist, check_upload};

    fn upload(date: &str, signature: char) -> Value {
        let signature = signature.to_string().repeat(64);
        json!({
            "uploadUrl": format!("https://s3.example/raw/a?X-Amz-Date={date}&X-Amz-Expires=900&X-Amz-Signature={signature}"),
            "s3Key": "projects/acme/films/2026/clip-00000001.mp4", "method": "PUT", "headers": {"a": "b"},
            "videoId": "vid_a", "grantId": "grt_a", "expiresAt": "2026-01-02T03:04:05.000Z",
        })
    }

    #[test]
    fn upload_grants_of_the_same_second_must_have_the_same_signature() {
        assert_eq!(check_upload(&upload("1", 'a'), &upload("1", 'a')), Ok(()));
        assert_eq!(check_upload(&upload("1", 'a'), &upload("2", 'b')), Ok(()));
        assert!(check_upload(&upload("1", 'a'), &upload("1", 'b')).unwrap_err().contains("query"));
    }

    #[test]
    fn the_error_for_a_response_without_a_grant_has_field_names_and_no_urls() {
        let problem = json!({"title": "Refused", "status": 401});
        let error = check_upload(&problem, &upload("1", 'a')).unwrap_err();
        assert_eq!(error, "a response has no `uploadUrl`; its fields are: status, title");
        assert!(check_upload(&upload("1", 'z'), &upload("1", 'z')).unwrap_err().contains("no signature"));
        let mut other = upload("1", 'a');
        other["videoId"] = "vid_b".into();
        assert!(check_upload(&other, &upload("1", 'a')).unwrap_err().starts_with("videoId"));
    }

    #[test]
    fn playback_urls_must_have_the_same_file_and_the_same_key_pair() {
        let playback = |file: &str, key: &str| {
            let signature = "s".repeat(96);
            json!({
                "signedUrl": format!("https://cdn.example/{file}?Expires=1&Signature={signature}&Key-Pair-Id={key}"),
                "grantId": "grt_a", "expiresAt": "2026-01-02T03:04:05.000Z",
            })
        };
        assert_eq!(check_playback(&playback("a", "K1"), &playback("a", "K1")), Ok(()));
        assert!(check_playback(&playback("a", "K1"), &playback("b", "K1")).is_err());
        assert!(check_playback(&playback("a", "K1"), &playback("a", "K2")).is_err());
        let unsigned =
            json!({"signedUrl": "https://cdn.example/a?Expires=1", "grantId": "g", "expiresAt": "t"});
        assert!(check_playback(&unsigned, &playback("a", "K1")).unwrap_err().contains("no signature"));
    }

    #[test]
    fn playlists_must_have_the_same_signed_uris() {
        let playlist = |uri: &str| {
            let segments = format!("#EXTINF:4,\n{uri}\n").repeat(1800);
            Value::from(format!("#EXTM3U\n#EXT-X-MAP:URI=\"{uri}\"\n{segments}#EXT-X-ENDLIST\n"))
        };
        let signed = playlist("https://cdn/0.m4s?Policy=p&Signature=s");
        assert_eq!(check_playlist(&signed, &signed), Ok(()));
        assert!(check_playlist(&signed, &playlist("https://cdn/0.m4s?Policy=p&Signature=t")).is_err());
        assert!(check_playlist(&playlist("0.m4s"), &playlist("0.m4s")).unwrap_err().contains("no signature"));
        assert!(check_playlist(&signed, &"#EXTM3U\n".into()).unwrap_err().contains("0 URIs"));
        assert!(check_playlist(&"#EXTM3U\n".into(), &signed).unwrap_err().contains("0 URIs"));
    }
}
