//! The peak memory of FFmpeg, as each process states it at its end from its own resource usage (`getrusage`).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::clip::make;
use super::harness::WorkerHarness;
use super::measure;
use super::published::publish;

/// An FFmpeg that writes its peak memory into a file at its end.
pub(super) struct MeasuredFfmpeg {
    program: PathBuf,
    reports: PathBuf,
}

impl MeasuredFfmpeg {
    /// Makes the program in `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        let reports = directory.join("memory");
        std::fs::create_dir_all(&reports).unwrap();
        let program = reports.join("ffmpeg");
        // As a child of the shell: a program that replaces another in its process inherits its peak, here that of the tests.
        let script = format!(
            "#!/bin/sh\nFFREPORT=file={}/$$.log:level=32 ffmpeg -benchmark \"$@\"\nexit $?\n",
            reports.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { program, reports }
    }

    /// The path of the program.
    pub(super) fn program(&self) -> String {
        self.program.to_str().unwrap().to_owned()
    }

    /// The largest peak of all processes that have ended, in bytes; 0 without any.
    pub(super) fn peak(&self) -> u64 {
        let reports = std::fs::read_dir(&self.reports).unwrap().map(|entry| entry.unwrap().path());
        let peaks =
            reports.filter(|path| path.extension().is_some_and(|kind| kind == "log")).filter_map(|path| {
                let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
                let (_, rest) = text.rsplit_once("bench: maxrss=")?;
                rest.split_once('k')?.0.parse::<u64>().ok()
            });
        peaks.max().unwrap_or(0) * 1024
    }
}

#[tokio::test]
async fn silence_for_an_hour_takes_no_more_memory_than_for_a_second() {
    let harness = WorkerHarness::measured();
    let args = "-f lavfi -i sine=440:r=48000:d=4 -af asetpts='PTS+if(gte(T,2),3600/TB,0)' -c:a libopus";
    let file = make(&harness.clips(), "gap.mka", args);
    let job = harness.upload_file("gap.mka", &file).await;
    let video = publish(harness, job, 3604.0).await;
    let beeps = measure::beeps(&video.mp4());
    assert!(beeps.len() == 1 && (beeps[0] - 3602.0).abs() < 0.05, "{beeps:?}");
    let peak = video.harness.peak_memory();
    assert!(
        (1..300 * 1024 * 1024).contains(&peak),
        "{peak} bytes; as one block the silence would have 1.4 GB"
    );
}

#[tokio::test]
async fn sound_stays_in_time_around_long_gaps_at_the_beginning_and_later() {
    for (name, codec) in [("gaps.mka", "libopus"), ("gaps.m4a", "aac"), ("gaps.mka", "flac")] {
        let harness = WorkerHarness::measured();
        // One second of sound at 70 s, 141 s and 212 s.
        let args = format!(
            "-f lavfi -i sine=440:r=48000:d=3 -f lavfi -i sine=880:r=48000:d=213 \
             -filter_complex [0]asetpts='PTS+(70+70*floor(T))/TB'[a] -map [a] -map 1 -c:a {codec}"
        );
        let file = make(&harness.clips(), name, &args);
        let job = harness.upload_file(name, &file).await;
        let video = publish(harness, job, 213.0).await;
        let beeps = measure::beeps(&video.mp4());
        // FFmpeg joins what is before and after a gap to one packet, of up to 0.1 s in FLAC.
        let near = |(beep, time): (&f64, f64)| (beep - time).abs() < 0.1;
        assert!(
            beeps.len() == 3 && beeps.iter().zip([70.0, 141.0, 212.0]).all(near),
            "{name} {codec}: {beeps:?}"
        );
    }
}
