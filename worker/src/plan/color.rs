//! From the source's colours to 8-bit 4:2:0 that every player shows alike.

use crate::capabilities::Capabilities;
use crate::probe::Color;

/// What has to happen to the colours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversion {
    /// 8-bit 4:2:0 in studio range; the matrix stays and is stated in the stream.
    Standard,
    /// RGB has no matrix: BT.709 is chosen and stated, else players guess by the size.
    FromRgb,
    /// High dynamic range is mapped onto what a standard display shows.
    ToneMap {
        /// The source's transfer function: `smpte2084` or `arib-std-b67`.
        transfer: String,
        /// The source's primaries.
        primaries: String,
        /// The source's matrix.
        matrix: String,
    },
}

impl Conversion {
    /// The conversion that a source coded in `color` needs. Ten bits alone are no high dynamic range: only the transfer
    /// functions of PQ (SMPTE ST 2084) and HLG (ARIB STD-B67) are.
    pub fn of(color: &Color, capabilities: &Capabilities) -> Self {
        match color.transfer.as_deref() {
            Some(transfer @ ("smpte2084" | "arib-std-b67")) if capabilities.maps_tones() => {
                // zscale refuses to convert from what is not stated; what such files leave out is BT.2020 in practice.
                let known = |value: &Option<String>, default: &str| match value.as_deref() {
                    Some(value) if ZSCALE_NAMES.contains(&value) => value.to_owned(),
                    _ => default.to_owned(),
                };
                Self::ToneMap {
                    transfer: transfer.to_owned(),
                    primaries: known(&color.primaries, "bt2020"),
                    matrix: known(&color.matrix, "bt2020nc"),
                }
            }
            _ if is_rgb(&color.pixel_format) => Self::FromRgb,
            _ => Self::Standard,
        }
    }
}

/// Names of primaries and matrices that ffprobe and zscale spell alike.
const ZSCALE_NAMES: [&str; 5] = ["bt2020", "bt2020nc", "bt2020c", "bt709", "smpte432"];

fn is_rgb(pixel_format: &str) -> bool {
    ["rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8"]
        .iter()
        .any(|prefix| pixel_format.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn color(pixel_format: &str, transfer: Option<&str>) -> Color {
        Color { pixel_format: pixel_format.into(), transfer: transfer.map(str::to_owned), ..Color::default() }
    }

    #[test]
    fn only_a_high_dynamic_range_is_tone_mapped() {
        let of =
            |pixel_format, transfer| Conversion::of(&color(pixel_format, transfer), &Capabilities::full());
        assert_eq!(of("yuv420p10le", None), Conversion::Standard);
        assert_eq!(of("yuv420p10le", Some("bt2020-10")), Conversion::Standard);
        assert_eq!(of("yuvj420p", Some("bt709")), Conversion::Standard);
        assert_eq!(of("bgra", None), Conversion::FromRgb);
        assert_eq!(
            of("yuv420p10le", Some("smpte2084")),
            Conversion::ToneMap {
                transfer: "smpte2084".into(),
                primaries: "bt2020".into(),
                matrix: "bt2020nc".into()
            }
        );
    }

    #[test]
    fn without_the_filters_high_dynamic_range_is_converted_plainly() {
        let bare = Capabilities::without_filters();
        assert_eq!(Conversion::of(&color("yuv420p10le", Some("arib-std-b67")), &bare), Conversion::Standard);
    }
}
