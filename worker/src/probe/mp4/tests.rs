//! The index is compared with what FFmpeg demuxes.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::probe::input::Demuxing;
use crate::probe::packets;

/// Makes a file with FFmpeg and returns its bytes.
fn clip(directory: &Path, name: &str, args: &str) -> Vec<u8> {
    let words = "-nostdin -v error -y".split(' ').chain(args.split_whitespace()).chain([name]);
    let output = Command::new("ffmpeg").current_dir(directory).args(words).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(directory.join(name)).unwrap()
}

fn index(file: &[u8], bytes: u64) -> Index {
    let moov = boxes::child(file, *b"moov").expect("an index");
    Index::parse(moov, bytes).expect("a valid index")
}

const VIDEO: &str =
    "-f lavfi -i testsrc2=s=64x36:r=30:d=2 -c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p";

#[tokio::test]
async fn the_index_states_the_times_that_ffmpeg_finds() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let tone = "-f lavfi -i sine=440:r=48000:d=2";
    clip(path, "plain.mp4", VIDEO);
    for (name, args, tolerance) in [
        ("reordered.mp4", VIDEO.to_owned(), 0.001),
        ("edited.mp4", format!("{tone} -c:a aac"), 0.03),
        ("delayed.mov", format!("-i plain.mp4 -itsoffset 0.7 {tone} -map 0 -map 1 -c:v copy -c:a aac"), 0.03),
        ("uncompressed.mov", format!("{tone} -c:a pcm_s16le"), 0.001),
        (
            "variable.mp4",
            "-f lavfi -i testsrc2=s=64x36:r=30:d=4 -vf select=lt(t\\,1)+not(mod(n\\,10)) -vsync vfr -c:v mpeg4".to_owned(),
            0.2,
        ),
    ] {
        let file = clip(path, name, &args);
        let found = index(&file, file.len() as u64);
        let url = path.join(name);
        let demuxing = Demuxing::default();
        let indexes: Vec<u32> = (0..).take(found.tracks.len()).collect();
        let args = packets::argv(url.to_str().unwrap(), &indexes, demuxing).into_iter();
        // FFmpeg may open only loopback addresses there; here it opens a file.
        let args = args.map(|arg| if arg == "http,tcp" { "file,pipe".to_owned() } else { arg });
        let output = Command::new("ffmpeg").args(args).output().unwrap();
        let expected = packets::parse(&String::from_utf8(output.stdout).unwrap());
        for (position, track) in (0..).zip(&found.tracks) {
            let demuxed = expected[&position];
            assert_eq!(track.stated, track.present, "{name}: nothing is missing");
            assert!((track.present.end - demuxed.end).abs() < tolerance, "{name}: {track:?} {demuxed:?}");
            let first = |packets: packets::StreamPackets| packets.first_pts.unwrap().max(0.0);
            assert!((first(track.present) - first(demuxed)).abs() < 0.03, "{name}: {track:?} {demuxed:?}");
            if track.kind == Kind::Video {
                assert_eq!(track.present.packets, demuxed.packets, "{name}");
                assert_eq!(track.present.bytes, demuxed.bytes, "{name}");
                assert_eq!(track.present.densest_second, demuxed.densest_second, "{name}");
            }
        }
    }
}

#[test]
fn samples_beyond_the_end_of_the_file_are_missing() {
    let directory = tempfile::tempdir().unwrap();
    let file = clip(directory.path(), "clip.mp4", &format!("{VIDEO} -movflags +faststart"));
    let cut_at = |bytes: usize| -> Track {
        let [track] = index(&file, bytes as u64).tracks.try_into().unwrap();
        track
    };
    let (whole, short, half) = (cut_at(file.len()), cut_at(file.len() - 1), cut_at(file.len() / 2));
    assert_eq!((whole.stated.packets, whole.present.packets, short.present.packets), (60, 60, 59));
    assert!((1..59).contains(&half.present.packets) && half.present.end < half.stated.end, "{half:?}");
    assert_eq!(half.stated, whole.stated);
}

#[test]
fn damaged_tables_are_refused_without_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let file = clip(directory.path(), "clip.mp4", VIDEO);
    let moov = boxes::child(&file, *b"moov").unwrap();
    for position in 0..moov.len() {
        let mut damaged = moov.to_vec();
        damaged[position] ^= 0xff;
        let _ = Index::parse(&damaged, file.len() as u64);
        let _ = Index::parse(&moov[..position], file.len() as u64);
    }
}
