//! The incremental upload of the progressive MP4.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use streamio_worker::progressive::Progressive;
use streamio_worker::storage::ObjectHeaders;
use streamio_worker::upload::Destination;

use super::clip::{audio_input, make, run, video_input};
use super::directory_storage::DirectoryStorage;
use super::inspect;

const PART: u64 = 64 * 1024;
const KEY: &str = "p/progressive.mp4";

/// Storage, and the scratch directory in which the MP4 is written.
struct ProgressiveHarness {
    directory: tempfile::TempDir,
    storage: Arc<DirectoryStorage>,
}

impl ProgressiveHarness {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = Arc::new(DirectoryStorage::new(&directory.path().join("objects")));
        std::fs::create_dir(directory.path().join("scratch")).unwrap();
        Self { directory, storage }
    }

    fn scratch(&self) -> std::path::PathBuf {
        self.directory.path().join("scratch")
    }

    fn progressive(&self) -> Progressive {
        self.progressive_with_part_bytes(PART)
    }

    fn progressive_with_part_bytes(&self, bytes: u64) -> Progressive {
        let destination =
            Destination { storage: self.storage.clone(), bucket: "b".into(), prefix: "p/".into() };
        Progressive::new(destination, &self.scratch(), ObjectHeaders::immutable("video/mp4"))
            .with_part_bytes(bytes)
    }

    fn parts_sent(&self) -> usize {
        self.storage.operations().iter().filter(|operation| operation.starts_with("UploadPart ")).count()
    }
}

/// A checksum of every packet, with its timestamps.
fn packets(path: &Path) -> String {
    let args = [
        "-nostdin",
        "-v",
        "error",
        "-i",
        path.to_str().unwrap(),
        "-map",
        "0",
        "-c",
        "copy",
        "-f",
        "framemd5",
        "-",
    ];
    let output = run("ffmpeg", Path::new("."), args);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn clip(directory: &Path, seconds: u32) -> std::path::PathBuf {
    let args = format!(
        "{} {} -c:v libx264 -preset ultrafast -crf 15 -c:a aac",
        video_input("320x240", 25, seconds),
        audio_input(440, seconds)
    );
    make(directory, "clip.mp4", &args)
}

#[tokio::test]
async fn a_growing_file_is_uploaded_in_parts_and_their_disk_space_is_freed() {
    for chunk in [10_000, 65_536, 333_333] {
        let harness = ProgressiveHarness::new();
        let original = clip(harness.directory.path(), 4);
        let bytes = std::fs::read(&original).unwrap();
        // Written as FFmpeg does: the length of `mdat` only when it is complete, then the index.
        let mdat = bytes.windows(4).position(|window| window == b"mdat").unwrap() - 4;
        let length = u32::from_be_bytes(bytes[mdat..mdat + 4].try_into().unwrap()) as usize;
        assert!(bytes.len() as u64 > PART * 8);
        let path = harness.scratch().join("progressive.mp4");
        let mut file = File::create(&path).unwrap();
        // A part size at which the last bytes of media and the index together make up a complete part.
        let (media, index) = ((mdat + length) as u64, (bytes.len() - mdat - length) as u64);
        let part = (40_000..90_000).step_by(64).find(|part| (media - part) % part + index >= *part).unwrap();
        let mut progressive = harness.progressive_with_part_bytes(part);
        let mut growing = bytes[..mdat + length].to_vec();
        growing[mdat..mdat + 4].fill(0);
        for chunk in growing.chunks(chunk) {
            file.write_all(chunk).unwrap();
            progressive.step().await.unwrap();
        }
        // All complete parts but the first are uploaded before the index is written.
        let sent = usize::try_from((media - part) / part).unwrap();
        while harness.parts_sent() < sent {
            progressive.step().await.unwrap();
            tokio::task::yield_now().await;
        }
        file.write_all_at(&bytes[mdat..mdat + 4], mdat as u64).unwrap();
        file.write_all(&bytes[mdat + length..]).unwrap();
        // Parts may contain the index now: nothing more is uploaded before the end.
        for _ in 0..100 {
            progressive.step().await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(harness.parts_sent(), sent);

        let stored = progressive.finish().await.unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert!(
            metadata.blocks() * 512 < metadata.len() / 2,
            "{} of {}",
            metadata.blocks() * 512,
            metadata.len()
        );
        let object = harness.storage.path("b", KEY);
        assert_eq!((stored.bytes, stored.parts), (std::fs::metadata(&object).unwrap().len(), sent + 2));
        assert_eq!(inspect::boxes(&object)[..2], ["ftyp", "moov"]);
        assert_eq!(packets(&object), packets(&original));
        assert_eq!(harness.storage.unfinished_uploads(), 0);
    }
}

#[tokio::test]
async fn the_output_of_ffmpeg_is_uploaded_while_it_runs() {
    let harness = ProgressiveHarness::new();
    let source = clip(harness.directory.path(), 8);
    let path = harness.scratch().join("progressive.mp4");
    let mut ffmpeg = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-v",
            "error",
            "-i",
            source.to_str().unwrap(),
            "-map",
            "0",
            "-c:v",
            "libx264",
            "-crf",
            "15",
        ])
        .args(["-c:a", "aac", "-flags", "+global_header", "-f", "tee", &format!("[f=mp4]{}", path.display())])
        .spawn()
        .unwrap();
    let mut progressive = harness.progressive();
    let mut sent_before_the_end = 0;
    while ffmpeg.try_wait().unwrap().is_none() {
        progressive.step().await.unwrap();
        sent_before_the_end = harness.parts_sent();
        tokio::task::yield_now().await;
    }
    let stored = progressive.finish().await.unwrap();
    assert!(
        sent_before_the_end > 2 && stored.parts > sent_before_the_end,
        "{sent_before_the_end} of {stored:?}"
    );
    let object = harness.storage.path("b", KEY);
    assert_eq!(inspect::boxes(&object)[..2], ["ftyp", "moov"]);
    assert_eq!(inspect::decode(&object), 200);
}

#[tokio::test]
async fn a_small_file_is_uploaded_with_one_request() {
    let harness = ProgressiveHarness::new();
    let args = format!("{} -c:v libx264 -preset ultrafast", video_input("64x64", 10, 1));
    let original = make(&harness.scratch(), "progressive.mp4", &args);
    let stored = harness.progressive().finish().await.unwrap();
    assert_eq!(stored.parts, 0);
    let object = harness.storage.path("b", KEY);
    assert_eq!(inspect::boxes(&object)[..2], ["ftyp", "moov"]);
    assert_eq!(packets(&object), packets(&original));
}

#[tokio::test]
async fn an_index_that_cannot_be_moved_stays_at_the_end() {
    let harness = ProgressiveHarness::new();
    let original = clip(&harness.scratch(), 4);
    // An `ftyp` that `mp4san` does not accept, as an example of a file that it refuses.
    let mut bytes = std::fs::read(&original).unwrap();
    let end = bytes.windows(4).position(|window| window == b"free").unwrap() - 4;
    for position in 8..end - 3 {
        if &bytes[position..position + 4] == b"isom" {
            bytes[position..position + 4].copy_from_slice(b"iso6");
        }
    }
    std::fs::write(harness.scratch().join("progressive.mp4"), &bytes).unwrap();
    let stored = harness.progressive().finish().await.unwrap();
    assert!(stored.parts > 2);
    let object = harness.storage.path("b", KEY);
    assert_eq!(std::fs::read(&object).unwrap(), bytes);
    assert_eq!(inspect::decode(&object), 100);
}

#[tokio::test]
async fn an_upload_can_be_aborted() {
    let harness = ProgressiveHarness::new();
    let original = clip(harness.directory.path(), 4);
    let mut bytes = std::fs::read(&original).unwrap();
    let mdat = bytes.windows(4).position(|window| window == b"mdat").unwrap() - 4;
    bytes[mdat..mdat + 4].fill(0);
    std::fs::write(harness.scratch().join("progressive.mp4"), &bytes).unwrap();
    let mut progressive = harness.progressive();
    progressive.step().await.unwrap();
    assert_eq!(harness.storage.unfinished_uploads(), 1);
    progressive.abort().await;
    assert_eq!((harness.storage.unfinished_uploads(), harness.storage.keys("b").len()), (0, 0));
}
