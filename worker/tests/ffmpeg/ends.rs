//! Files that end in mid-packet, or in zeros.

use streamio_worker::run::RunOutcome;

use super::clip::make;
use super::harness::WorkerHarness;
use super::measure::H264;
use super::published::publish;
use super::refusals::code;

const CLIP: &str = "-f lavfi -i testsrc2=s=320x180:r=30:d=3 -f lavfi -i sine=440:r=44100:d=3";

fn clip(name: &str, args: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::read(make(directory.path(), name, args)).unwrap()
}

/// Publishes `bytes` and returns the codes of the warnings.
async fn warnings(bytes: &[u8]) -> Vec<String> {
    let harness = WorkerHarness::new();
    let job = harness.upload("clip.bin", bytes).await;
    let video = publish(harness, job, 3.0).await;
    assert_eq!(video.source.bytes, bytes.len() as u64);
    video.source.warnings.into_iter().map(|warning| warning.code).collect()
}

#[tokio::test]
async fn zeros_after_whole_media_change_nothing() {
    // The last two state their end nowhere: it is where the last packet ends.
    for (name, args, expected) in [
        ("clip.mkv", format!("{CLIP} {H264} -c:a libopus"), &[][..]),
        ("clip.avi", format!("{CLIP} {H264} -c:a libmp3lame"), &[]),
        ("sound.mp3", "-f lavfi -i sine=440:r=44100:d=3 -c:a libmp3lame".to_owned(), &[]),
        ("quiet.mp3", "-f lavfi -i anullsrc=r=44100:d=3 -c:a libmp3lame".to_owned(), &[]),
        ("clip.ts", format!("{CLIP} {H264} -c:a aac"), &["zeros_at_end"]),
        ("live.mkv", format!("{CLIP} {H264} -c:a libopus -f matroska -live 1"), &["zeros_at_end"]),
    ] {
        let mut bytes = clip(name, &args);
        bytes.resize(bytes.len() + 100_000, 0);
        assert_eq!(warnings(&bytes).await, expected, "{name}");
    }
}

#[tokio::test]
async fn zeros_in_the_place_of_media_are_corrupt() {
    for (name, args) in [
        ("clip.ts", format!("{CLIP} {H264} -c:a aac")),
        ("live.mkv", format!("{CLIP} {H264} -c:a libopus -live 1")),
    ] {
        let mut bytes = clip(name, &args);
        // Not where a packet of a transport stream ends.
        let place = bytes.len() / 2 / 188 * 188 + 100;
        bytes[place..].fill(0);
        assert_eq!(code(name, &bytes).await, "corrupt", "{name}");
    }
}

#[tokio::test]
async fn a_file_that_ends_within_a_packet_is_truncated() {
    for (name, args, missing) in [
        ("clip.ts", format!("{CLIP} {H264} -c:a aac"), 100),
        ("clip.m2ts", format!("{CLIP} {H264} -c:a ac3 -mpegts_m2ts_mode 1"), 100),
        ("live.flv", format!("{CLIP} {H264} -c:a aac -flvflags no_duration_filesize"), 100),
        ("sound.aac", "-f lavfi -i sine=440:r=44100:d=3 -c:a aac".to_owned(), 5),
    ] {
        let whole = clip(name, &args);
        assert_eq!(warnings(&whole).await, [""; 0], "{name}");
        assert_eq!(code(name, &whole[..whole.len() - missing]).await, "truncated", "{name}");
    }
}

#[tokio::test]
async fn bytes_after_the_last_packet_say_nothing_about_it() {
    let stream = clip("clip.ts", &format!("{CLIP} {H264} -c:a aac"));
    let flv = clip("live.flv", &format!("{CLIP} {H264} -c:a aac -flvflags no_duration_filesize"));
    let sound = clip("sound.aac", "-f lavfi -i sine=440:r=44100:d=3 -c:a aac");
    for whole in [stream, flv, sound] {
        let bytes = [&whole[..], b"a few words of something else"].concat();
        let harness = WorkerHarness::new();
        let job = harness.upload("clip.bin", &bytes).await;
        let outcome = harness.run(&job).await;
        assert!(matches!(outcome, RunOutcome::Published), "{outcome:?}");
    }
}
