//! Files that are cut, overwritten, encrypted or no media: each ends in one attempt with its own error.

use streamio_worker::run::RunOutcome;

use super::clip::make;
use super::harness::WorkerHarness;
use super::inspect;
use super::refusals::{code, refused};

const CLIP: &str = "-f lavfi -i testsrc2=s=320x180:r=30:d=3 -f lavfi -i sine=440:r=48000:d=3 -c:v libx264 -preset ultrafast \
                    -pix_fmt yuv420p";

fn clip(name: &str, args: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::read(make(directory.path(), name, args)).unwrap()
}

#[tokio::test]
async fn a_file_that_is_shorter_than_its_own_index_is_truncated() {
    let sound = "-f lavfi -i anoisesrc=d=3:r=44100";
    for (name, args) in [
        ("first.mp4", format!("{CLIP} -c:a aac -movflags +faststart")),
        ("last.mov", format!("{CLIP} -c:a aac")),
        ("fragments.mp4", format!("{CLIP} -c:a aac -g 15 -movflags +frag_keyframe+empty_moov")),
        ("clip.mkv", format!("{CLIP} -c:a libopus")),
        ("clip.avi", format!("{CLIP} -c:a mp3")),
        ("clip.flv", format!("{CLIP} -c:a aac -ar 44100")),
        ("sound.wav", sound.to_owned()),
        ("sound.flac", sound.to_owned()),
        ("sound.mp3", format!("{sound} -c:a libmp3lame -b:a 128k")),
        ("clip.wmv", "-f lavfi -i testsrc2=s=320x180:r=30:d=3 -c:v wmv2".to_owned()),
    ] {
        let whole = clip(name, &args);
        assert_eq!(code(name, &whole[..whole.len() * 6 / 10]).await, "truncated", "{name}");
    }
}

#[tokio::test]
async fn a_file_of_fragments_that_states_no_length_is_truncated_where_its_last_fragment_is_not_complete() {
    // As browsers and players write it: the length of the file is not stated, nor that of its clusters.
    let live = clip("live.mkv", &format!("{CLIP} -c:a libopus -f matroska -live 1"));
    let part = &live[..live.len() * 6 / 10];
    assert_eq!(code("live.mkv", part).await, "truncated");
    let mut open = part.to_vec();
    let clusters: Vec<_> =
        (0..open.len() - 12).filter(|place| open[*place..].starts_with(&[0x1f, 0x43, 0xb6, 0x75])).collect();
    for place in clusters {
        let length = open[place + 4].leading_zeros() as usize + 1;
        open[place + 5..place + 4 + length].fill(0xff);
        open[place + 4] = 0xff >> (length - 1);
    }
    assert_eq!(code("open.mkv", &open).await, "truncated");

    // Larger than what is read box by box. Places in a fragment count from its beginning.
    let small = clip(
        "fragments.mp4",
        &format!("{CLIP} -c:a aac -g 15 -movflags +frag_keyframe+empty_moov+default_base_moof"),
    );
    let first = small.windows(4).position(|window| window == b"moof").unwrap() - 4;
    let free = 260_u32 * 1024 * 1024;
    let large = |end: usize| {
        let header = [&free.to_be_bytes()[..], b"free"].concat();
        [&small[..first], &header, &vec![0; free as usize - 8], &small[first..end]].concat()
    };
    assert_eq!(code("fragments.mp4", &large(small.len() * 6 / 10)).await, "truncated");
    let harness = WorkerHarness::new();
    let job = harness.upload("whole.mp4", &large(small.len())).await;
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Published), "{outcome:?}");
}

#[tokio::test]
async fn a_whole_file_with_bytes_after_its_end_or_a_wrong_length_in_a_header_is_published() {
    let mut padded = clip("clip.mp4", &format!("{CLIP} -c:a aac -movflags +faststart"));
    padded.resize(padded.len() + 100_000, 0);
    let live = clip("live.mkv", &format!("{CLIP} -c:a libopus -f matroska -live 1"));
    for bytes in [&padded, &live] {
        let harness = WorkerHarness::new();
        let job = harness.upload("clip.bin", bytes).await;
        let outcome = harness.run(&job).await;
        assert!(matches!(outcome, RunOutcome::Published), "{outcome:?}");
        let source = harness.video(&job.video_id).await.source.unwrap();
        assert!((source.duration_seconds - 3.0).abs() < 0.1 && source.warnings.is_empty(), "{source:?}");
    }
}

#[tokio::test]
async fn a_truncated_file_becomes_a_shorter_video_with_a_warning_where_the_project_allows_it() {
    let whole = clip("clip.mp4", &format!("{CLIP} -c:a aac -movflags +faststart"));
    let mut harness = WorkerHarness::new();
    harness.policy.limits.allow_truncated = true;
    let job = harness.upload("clip.mp4", &whole[..whole.len() * 6 / 10]).await;
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Published), "{outcome:?}");
    let video = harness.video(&job.video_id).await;
    let status = video.status().unwrap();
    assert_eq!(status.warnings.len(), 1);
    assert_eq!(status.warnings[0].code, "truncated");
    let shown = status.source.unwrap().duration_seconds;
    let key = status.outputs.unwrap().mp4_key.to_string();
    let made = inspect::duration(&harness.storage.path(super::harness::PROCESSED, &key));
    assert!(
        (1.0..2.5).contains(&shown) && (shown - made).abs() < 0.15,
        "{shown} s are shown, {made} s were made"
    );
}

#[tokio::test]
async fn a_file_whose_end_was_never_written_is_corrupt() {
    for (name, args) in [
        ("first.mp4", format!("{CLIP} -c:a aac -movflags +faststart")),
        ("clip.mkv", format!("{CLIP} -c:a libopus")),
        ("clip.avi", format!("{CLIP} -c:a mp3")),
        ("clip.ts", format!("{CLIP} -c:a aac")),
    ] {
        let mut bytes = clip(name, &args);
        // Not where a packet of a transport stream ends.
        let third = bytes.len() / 3 / 188 * 188 + 100;
        bytes[third..].fill(0);
        assert_eq!(code(name, &bytes).await, "corrupt", "{name}");
    }
}

#[tokio::test]
async fn a_file_of_which_most_packets_are_overwritten_is_corrupt_in_one_attempt() {
    let mut bytes = clip("clip.mp4", &format!("{CLIP} -c:a aac -movflags +faststart"));
    let media = bytes.windows(4).position(|window| window == b"mdat").unwrap() + 5000;
    let end = bytes.len() - 100;
    bytes[media..end].fill(0x5a);
    assert_eq!(code("clip.mp4", &bytes).await, "corrupt");
}

#[tokio::test]
async fn pictures_none_of_which_can_be_decoded_are_corrupt_although_sound_can() {
    // Only the first picture can be decoded without others, and it is overwritten. FFmpeg reports no error for most of the others.
    let black = CLIP.replace("testsrc2=", "color=black:");
    let mut bytes = clip("clip.mp4", &format!("{black} -bf 0 -c:a aac"));
    let media = bytes.windows(4).position(|window| window == b"mdat").unwrap() + 4;
    bytes[media..media + 900].fill(0x5a);
    assert_eq!(code("clip.mp4", &bytes).await, "corrupt");
}

#[tokio::test]
async fn encrypted_media_is_named_as_such() {
    let encrypted = clip(
        "drm.mp4",
        &format!(
            "{CLIP} -c:a aac -encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
             -encryption_kid a7e61c373e219033c21091fa607bf3b8"
        ),
    );
    assert_eq!(code("drm.mp4", &encrypted).await, "drm_protected");

    // FairPlay names its own kind of sample description.
    let mut fairplay = clip("sound.m4a", "-f lavfi -i sine=440:r=48000:d=1 -c:a aac");
    let description = fairplay.windows(4).position(|window| window == b"mp4a").unwrap();
    fairplay[description..description + 4].copy_from_slice(b"drms");
    assert_eq!(code("sound.m4p", &fairplay).await, "drm_protected");

    // Every packet of a transport stream that carries media is marked as scrambled.
    let mut scrambled = clip("clip.ts", &format!("{CLIP} -c:a aac"));
    for packet in scrambled.chunks_exact_mut(188) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        if pid >= 0x100 {
            packet[3] |= 0xc0;
        }
    }
    assert_eq!(code("clip.ts", &scrambled).await, "drm_protected");
}

#[tokio::test]
async fn files_that_are_no_recordings_are_called_what_they_are() {
    let midi = b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x0c\0\x90\x3c\x40\x60\x80\x3c\x40\0\xff\x2f\0";
    for (name, bytes, kind) in [
        ("song.mid", midi.as_slice(), "MIDI"),
        ("paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "PDF"),
        ("film.zip", b"PK\x03\x04\x14\0\0\0\x08\0", "ZIP"),
    ] {
        let error = refused(&WorkerHarness::new(), name, bytes).await;
        assert_eq!((error.code.as_str(), error.retryable), ("not_media", false), "{name}");
        assert!(error.message.contains(kind) && !error.message.contains("damaged"), "{}", error.message);
    }
}
