//! Chooses the conversion from the source's colours to 8-bit 4:2:0, which all players display alike.

use crate::capabilities::Capabilities;
use crate::probe::Color;

/// A colour conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversion {
    /// To 8-bit 4:2:0 in limited range. The matrix is kept and signalled in the stream.
    Standard,
    /// From RGB, which has no matrix, to BT.709, signalled in the stream; players would otherwise guess from the size.
    FromRgb,
    /// Tone mapping from HDR to SDR.
    ToneMap {
        /// The source's transfer function: `smpte2084` or `arib-std-b67`.
        transfer: String,
        /// The source's colour primaries.
        primaries: String,
        /// The source's matrix.
        matrix: String,
    },
}

impl Conversion {
    /// The conversion for a source coded in `color`. HDR is recognized by the transfer functions PQ (SMPTE ST 2084) and HLG
    /// (ARIB STD-B67); ten bits alone are not HDR.
    pub fn of(color: &Color, capabilities: &Capabilities) -> Self {
        match color.transfer.as_deref() {
            Some(transfer @ ("smpte2084" | "arib-std-b67")) if capabilities.can_tone_map() => {
                // zscale needs explicit values; HDR files that leave them out use BT.2020 in practice.
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

/// Primaries and matrices that have the same name in ffprobe and zscale.
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
    fn only_hdr_is_tone_mapped() {
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
    fn hdr_is_converted_without_tone_mapping_if_the_filters_are_missing() {
        let bare = Capabilities::without_filters();
        assert_eq!(Conversion::of(&color("yuv420p10le", Some("arib-std-b67")), &bare), Conversion::Standard);
    }
}
