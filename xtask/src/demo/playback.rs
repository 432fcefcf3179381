//! Checks that every frame of every rendition decodes through signed URLs, and that other URLs are refused.

use anyhow::{Context, Result, bail, ensure};

use super::media::{self, Kind, Media, Track};

/// The timeout of a request.
const TIMEOUT_SECONDS: u64 = 30;

/// The decoded outputs.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) hls: Media,
    pub(super) mp4: Media,
}

/// The maximum frame rate of renditions, in frames per second.
const MAX_FRAME_RATE: f64 = 60.0;

/// Decodes the HLS stream and the MP4 completely, and requests URLs that must be refused.
pub(super) fn check(source: &Media, renditions: usize, hls: &str, mp4: &str) -> Result<Played> {
    let master = fetch(hls)?;
    ensure!(master.starts_with("#EXTM3U"), "the response of the HLS URL is not a playlist: {master:.40}");
    let listed = master.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF")).count();
    ensure!(
        listed == renditions && listed > 0,
        "the master playlist has {listed} renditions, the video's view has {renditions}"
    );
    media::play(hls).context("could not play the HLS stream")?;
    let hls_media = media::probe(hls).context("could not decode the HLS stream")?;
    ensure!(
        hls_media.variants.len() == listed,
        "the master playlist has {listed} renditions, ffprobe reads {}",
        hls_media.variants.len()
    );
    for variant in &hls_media.variants {
        check_tracks(source, &variant.tracks).context("an HLS rendition")?;
    }
    media::play(mp4).context("could not play the MP4")?;
    let mp4_media = media::probe(mp4).context("could not decode the MP4")?;
    check_tracks(source, &mp4_media.tracks).context("the MP4")?;
    check_refusals(hls, mp4)?;
    Ok(Played { hls: hls_media, mp4: mp4_media })
}

/// Checks that the tracks of the source exist, and that the video is complete.
fn check_tracks(source: &Media, tracks: &[Track]) -> Result<()> {
    if source.video().is_some() {
        let video = tracks.iter().find(|track| track.kind == Kind::Video).context("it has no video")?;
        ensure!(video.rate <= MAX_FRAME_RATE + 0.5, "{} frames per second are too many", video.rate);
        let expected = source.seconds * video.rate;
        // Converting the frame rate may drop or duplicate single frames. A missing segment exceeds the tolerance.
        let tolerance = (expected * 0.02).max(3.0);
        #[expect(clippy::cast_precision_loss, reason = "a count of frames is far below 2^52")]
        let difference = (video.frames as f64 - expected).abs();
        ensure!(
            video.frames > 0 && difference <= tolerance,
            "{}x{}: {} frames decoded, {expected:.0} expected ({:.2} s at {:.2} frames per second)",
            video.width,
            video.height,
            video.frames,
            source.seconds,
            video.rate
        );
    }
    if source.audio().is_some() {
        let audio = tracks.iter().find(|track| track.kind == Kind::Audio).context("it has no audio")?;
        ensure!(audio.frames > 0, "its audio is empty");
    }
    Ok(())
}

/// Checks that a URL is refused without its signature, with an altered signature, and with the signature of another URL.
fn check_refusals(hls: &str, mp4: &str) -> Result<()> {
    for (name, url) in [("HLS", hls), ("MP4", mp4)] {
        ensure!(status(url)? == 200, "the signed {name} URL is refused");
        let (unsigned, query) =
            url.split_once('?').with_context(|| format!("the {name} URL has no signature"))?;
        check_refused(unsigned, &format!("the {name} URL without its signature"))?;
        let altered = alter_signature(query).with_context(|| format!("the {name} URL has no Signature"))?;
        check_refused(
            &format!("{unsigned}?{altered}"),
            &format!("the {name} URL with an altered signature"),
        )?;
    }
    let (hls_path, _) = hls.split_once('?').context("checked above")?;
    let (_, mp4_query) = mp4.split_once('?').context("checked above")?;
    check_refused(&format!("{hls_path}?{mp4_query}"), "the HLS path with the MP4's signature")
}

fn check_refused(url: &str, what: &str) -> Result<()> {
    match status(url)? {
        403 => Ok(()),
        other => bail!("{what} has the status {other}, not 403"),
    }
}

/// Returns the query with one changed character in the middle of its signature.
fn alter_signature(query: &str) -> Option<String> {
    let start = query.split('&').scan(0, |at, part| {
        let here = *at;
        *at += part.len() + 1;
        Some((here, part))
    });
    let (at, signature) = start.into_iter().find(|(_, part)| part.starts_with("Signature="))?;
    let middle = at + "Signature=".len() + (signature.len() - "Signature=".len()) / 2;
    let other = if query.as_bytes().get(middle)? == &b'A' { "B" } else { "A" };
    let mut altered = query.to_owned();
    altered.replace_range(middle..=middle, other);
    Some(altered)
}

/// Sends a GET request. Errors do not contain the URL, because it has a signature.
fn get(url: &str) -> Result<minreq::Response> {
    minreq::get(url)
        .with_timeout(TIMEOUT_SECONDS)
        .send()
        .map_err(|error| anyhow::anyhow!("the CDN did not respond: {error}"))
}

fn status(url: &str) -> Result<u16> {
    Ok(get(url)?.status_code)
}

fn fetch(url: &str) -> Result<String> {
    let response = get(url)?;
    ensure!(response.status_code == 200, "the signed HLS URL has the status {}", response.status_code);
    Ok(response.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{alter_signature, check_refusals, check_tracks};
    use crate::demo::media::{Kind, Media, Track};
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    fn video(rate: f64, frames: u64) -> Track {
        Track { kind: Kind::Video, codec: "h264".into(), width: 1280, height: 720, rate, frames }
    }

    fn audio(frames: u64) -> Track {
        Track { kind: Kind::Audio, codec: "aac".into(), width: 0, height: 0, rate: 0.0, frames }
    }

    fn source(tracks: Vec<Track>) -> Media {
        Media { seconds: 10.0, tracks, variants: vec![] }
    }

    fn result_of(source: &Media, tracks: &[Track]) -> String {
        check_tracks(source, tracks).map_or_else(|error| error.to_string(), |()| "plays".into())
    }

    #[test]
    fn a_missing_segment_is_an_error_and_a_missing_frame_is_not() {
        let source = source(vec![video(25.0, 250), audio(430)]);
        assert_eq!(result_of(&source, &[video(25.0, 250), audio(430)]), "plays");
        assert_eq!(result_of(&source, &[video(25.0, 247), audio(430)]), "plays");
        let cut = result_of(&source, &[video(25.0, 150), audio(430)]);
        assert_eq!(cut, "1280x720: 150 frames decoded, 250 expected (10.00 s at 25.00 frames per second)");
        assert!(result_of(&source, &[video(25.0, 0), audio(430)]).contains("0 frames decoded"));
    }

    #[test]
    fn tracks_that_the_source_has_must_be_there() {
        let source = source(vec![video(25.0, 250), audio(430)]);
        assert_eq!(result_of(&source, &[audio(430)]), "it has no video");
        assert_eq!(result_of(&source, &[video(25.0, 250)]), "it has no audio");
        assert_eq!(result_of(&source, &[video(25.0, 250), audio(0)]), "its audio is empty");
    }

    #[test]
    fn a_source_without_audio_or_without_video_plays_as_it_is() {
        assert_eq!(result_of(&source(vec![video(25.0, 250)]), &[video(25.0, 250)]), "plays");
        assert_eq!(result_of(&source(vec![audio(430)]), &[audio(430)]), "plays");
    }

    #[test]
    fn more_than_sixty_frames_per_second_are_too_many() {
        let source = source(vec![video(120.0, 1200)]);
        assert_eq!(result_of(&source, &[video(60.0, 600)]), "plays");
        assert_eq!(result_of(&source, &[video(120.0, 1200)]), "120 frames per second are too many");
    }

    #[test]
    fn an_altered_signature_differs_in_one_character() {
        assert_eq!(
            alter_signature("Policy=xx&Signature=abcde&Key-Pair-Id=K").unwrap(),
            "Policy=xx&Signature=abAde&Key-Pair-Id=K"
        );
        assert_eq!(alter_signature("Signature=abAde").unwrap(), "Signature=abBde");
        assert_eq!(alter_signature("Expires=1"), None);
    }

    /// Returns the result of the check with a server that responds to each path and query with the status `status`.
    fn refusals(status: fn(&str) -> u16) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // The thread ends with the test process.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let lines = BufReader::new(connection.try_clone().unwrap()).lines();
                let request: Vec<String> =
                    lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
                let target = request[0].split(' ').nth(1).unwrap();
                let response = format!(
                    "HTTP/1.1 {} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    status(target)
                );
                connection.write_all(response.as_bytes()).unwrap();
            }
        });
        let hls = format!("http://{address}/a.hls/master.m3u8?Policy=p&Signature=hhhh");
        let mp4 = format!("http://{address}/a?Expires=1&Signature=mmmm");
        check_refusals(&hls, &mp4).map_or_else(|error| error.to_string(), |()| "refuses".into())
    }

    #[test]
    fn a_server_that_accepts_invalid_signatures_is_detected() {
        let strict = |target: &str| match target {
            "/a.hls/master.m3u8?Policy=p&Signature=hhhh" | "/a?Expires=1&Signature=mmmm" => 200,
            _ => 403,
        };
        assert_eq!(refusals(strict), "refuses");
        assert_eq!(refusals(|_| 200), "the HLS URL without its signature has the status 200, not 403");
        assert_eq!(refusals(|_| 403), "the signed HLS URL is refused");
        let any_signature = |target: &str| if target.contains("Signature=") { 200 } else { 403 };
        assert_eq!(
            refusals(any_signature),
            "the HLS URL with an altered signature has the status 200, not 403"
        );
        let any_path = |target: &str| {
            let valid = target.contains("Signature=hhhh") || target.contains("Signature=mmmm");
            if valid { 200 } else { 403 }
        };
        assert_eq!(refusals(any_path), "the HLS path with the MP4's signature has the status 200, not 403");
    }
}
