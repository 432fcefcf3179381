//! Colours: grey cards in HDR, patches in wide primaries. The code values of the sources are known; the output is measured.

use super::inspect;
use super::measure;
use super::published::{PublishedVideo, publish_clip};

/// A grey card of a luma code value in 10 bits.
fn card(luma: u32) -> String {
    format!("-f lavfi -i color=black:s=64x64:r=25:d=0.4,format=yuv420p10le,geq=lum={luma}:cb=512:cr=512")
}

async fn hdr(luma: u32, transfer: &str) -> PublishedVideo {
    let args = format!(
        "{} -c:v ffv1 -color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc -color_range tv",
        card(luma)
    );
    publish_clip("card.mkv", &args, 0.4).await
}

/// 203 nits in PQ is 0.5806 of the code range (SMPTE ST 2084), in HLG 0.75 (ITU-R BT.2408, table 1).
const PQ_WHITE: u32 = 573;
const HLG_WHITE: u32 = 721;

#[tokio::test]
async fn reference_white_of_hdr_is_nearly_white() {
    for (luma, transfer) in [(PQ_WHITE, "smpte2084"), (HLG_WHITE, "arib-std-b67")] {
        let white = inspect::brightness(&hdr(luma, transfer).await.mp4());
        assert!((227.0..=243.0).contains(&white), "{transfer}: {white}");
    }
}

#[tokio::test]
async fn highlights_of_hdr_are_brighter_than_white_and_shadows_stay_dark() {
    // 1000 nits, 18 % of 203 nits, and black.
    let brightness = async |luma| inspect::brightness(&hdr(luma, "smpte2084").await.mp4());
    let (highlight, grey, black) = (brightness(723).await, brightness(430).await, brightness(64).await);
    assert!((246.0..=255.0).contains(&highlight), "{highlight}");
    assert!((115.0..=135.0).contains(&grey), "{grey}");
    assert!(black <= 2.0, "{black}");
}

#[tokio::test]
async fn white_of_content_mastered_at_100_nits_is_nearly_white() {
    // 100 nits in PQ is 0.5081 of the code range.
    let args = format!(
        "{} -c:v libx265 -preset ultrafast -x265-params log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:\
         master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(1000000,50)",
        card(509)
    );
    let video = publish_clip("card.mp4", &args, 0.4).await;
    let white = inspect::brightness(&video.mp4());
    assert!((227.0..=243.0).contains(&white), "{white}");
}

/// From linear BT.709 to linear light of other primaries (white D65), computed from the chromaticities in ITU-R BT.709, ITU-R BT.2020
/// and SMPTE EG 432-1.
const TO_BT2020: [[f64; 3]; 3] =
    [[0.627_404, 0.329_283, 0.043_313], [0.069_097, 0.919_540, 0.011_362], [0.016_391, 0.088_013, 0.895_595]];
const TO_P3: [[f64; 3]; 3] =
    [[0.822_462, 0.177_538, 0.0], [0.033_194, 0.966_806, 0.0], [0.017_083, 0.072_397, 0.910_520]];

/// The code values in other primaries of a colour given in BT.709, on a display with a gamma of 2.4 (ITU-R BT.1886).
fn in_primaries(matrix: [[f64; 3]; 3], color: [u8; 3]) -> [u8; 3] {
    let linear = color.map(|value| (f64::from(value) / 255.0).powf(2.4));
    matrix.map(|row| {
        let light: f64 = row.iter().zip(linear).map(|(factor, value)| factor * value).sum();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        let value = (light.powf(1.0 / 2.4) * 255.0).round() as u8;
        value
    })
}

#[tokio::test]
async fn wide_primaries_are_converted_to_bt709() {
    let patches = [[200, 60, 40], [60, 180, 70], [50, 70, 200], [128, 128, 128]];
    for (matrix, primaries, space) in [(TO_BT2020, "bt2020", "bt2020nc"), (TO_P3, "smpte432", "bt709")] {
        for color in patches {
            let [red, green, blue] = in_primaries(matrix, color);
            let scale_matrix = space.trim_end_matches("nc");
            let args = format!(
                "-f lavfi -i color=0x{red:02x}{green:02x}{blue:02x}:s=64x64:r=25:d=0.2,format=gbrp,\
                 scale=out_color_matrix={scale_matrix}:out_range=limited,format=yuv444p10le -c:v ffv1 -color_range tv \
                 -color_primaries {primaries} -color_trc bt709 -colorspace {space}"
            );
            let video = publish_clip("patch.mkv", &args, 0.2).await;
            let measured = measure::color(&video.mp4());
            for (measured, expected) in measured.iter().zip(color) {
                assert!(measured.abs_diff(expected) <= 4, "{primaries} {color:?}: {measured:?}");
            }
            let stream = inspect::stream(&video.mp4(), "v").unwrap();
            assert_eq!(
                (&stream["color_primaries"], &stream["color_space"]),
                (&"bt709".into(), &"bt709".into())
            );
        }
    }
}
