//! ffprobe's report on a file, and what is encoded of the file.

use streamio_worker::probe::Probe;
use streamio_worker::probe::packets::Packets;
use streamio_worker::probe::testing::{plan, read_packets, read_report};

use crate::text;

/// The most pixels of a frame.
const MAX_PIXELS: u64 = 8192 * 8192;

/// A probe has sizes, rates and times that can be computed with, and a plan that never enlarges the picture. The report ends with its
/// last `}`; after it is a list of packets.
pub fn check(data: &[u8]) {
    let end = data.iter().rposition(|byte| *byte == b'}').map_or(data.len(), |at| at + 1);
    let packets = text::of(&data[end..]).map_or_else(Packets::new, read_packets);
    let Some(Ok(probe)) = read_report(&data[..end], data.len() as u64, packets) else { return };
    assert!(probe.video.is_some() || !probe.audio.is_empty());
    assert!(
        probe.duration.is_none_or(|seconds| seconds.is_finite() && seconds > 0.0),
        "{:?}",
        probe.duration
    );
    if let Some(video) = &probe.video {
        assert!(
            video.coded.0 > 0
                && video.coded.1 > 0
                && u64::from(video.coded.0) * u64::from(video.coded.1) <= MAX_PIXELS
        );
        assert!(video.display.0 > 0 && video.display.1 > 0);
        assert!(video.rotation < 360 && video.rotation.is_multiple_of(90));
        assert!(video.delay.is_finite() && video.delay >= 0.0);
    }
    check_plan(&probe);
}

fn check_plan(probe: &Probe) {
    let Ok(plan) = plan(probe) else { return };
    assert!(plan.audio.len() <= probe.audio.len());
    if let (Some(video), Some(probed)) = (&plan.video, &probe.video) {
        let rate = video.frame_rate.per_second();
        assert!(rate > 0.0 && rate <= 60.0, "{rate}");
        let longest = probed.display.0.max(probed.display.1).max(2);
        assert!(
            video.rungs.iter().all(|rung| rung.width.max(rung.height) <= longest + 1),
            "{:?}",
            video.rungs
        );
        assert!(video.rungs.iter().all(|rung| rung.width.is_multiple_of(2) && rung.height.is_multiple_of(2)));
    }
}
