//! Sound with more channels than FFmpeg has a layout for.

use super::measure;
use super::published::publish_clip;

#[tokio::test]
async fn each_of_many_channels_is_heard() {
    // A different tone in each channel: 400 Hz, 700 Hz, 1000 Hz, …
    for channels in [10_u32, 16] {
        let tones: Vec<_> = (0..channels).map(|channel| 400 + 300 * channel).collect();
        let expressions =
            tones.iter().map(|hertz| format!("0.5*sin(2*PI*{hertz}*t)")).collect::<Vec<_>>().join("|");
        let args = format!("-f lavfi -i aevalsrc={expressions}:s=48000:d=2 -c:a pcm_s16le");
        let video = publish_clip("many.wav", &args, 2.0).await;
        for hertz in tones {
            let power = measure::tone(&video.mp4(), f64::from(hertz));
            assert!(power > 0.03, "{channels} channels: {hertz} Hz has {power}");
        }
        assert!(measure::tone(&video.mp4(), 333.0) < 0.01, "no tone that is not there");
    }
}
