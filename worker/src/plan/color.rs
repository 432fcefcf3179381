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
    /// From primaries with more colours than BT.709 (BT.2020, P3) to BT.709. Players that take them for BT.709 show them dull.
    Gamut {
        /// The source's transfer function.
        transfer: String,
        /// The source's colour primaries.
        primaries: String,
        /// The source's matrix.
        matrix: String,
    },
    /// Tone mapping from HDR to SDR.
    ToneMap {
        /// The source's transfer function: `smpte2084` or `arib-std-b67`.
        transfer: String,
        /// The source's colour primaries.
        primaries: String,
        /// The source's matrix.
        matrix: String,
        /// The luminance, in nits (cd/m²), that becomes white.
        white: u32,
        /// The highest luminance that the transfer function can code, in nits.
        peak: u32,
    },
}

/// The luminance of white paper or a white page in HDR, in nits (ITU-R BT.2408, section 2.1). Highlights are brighter.
const REFERENCE_WHITE: u32 = 203;
/// White of an SDR mastering display, in nits. What was mastered on one is white at this luminance.
const SDR_WHITE: u32 = 100;
/// The highest luminance of PQ in nits (SMPTE ST 2084).
const PQ_PEAK: u32 = 10_000;
/// The display that HLG is defined for, in nits (ITU-R BT.2100).
const HLG_PEAK: u32 = 1_000;

impl Conversion {
    /// The conversion for a source coded in `color`. HDR is recognized by the transfer functions PQ (SMPTE ST 2084) and HLG
    /// (ARIB STD-B67); ten bits alone are not HDR.
    pub fn of(color: &Color, capabilities: &Capabilities) -> Self {
        let is_hdr = matches!(color.transfer.as_deref(), Some("smpte2084" | "arib-std-b67"));
        if !capabilities.can_convert_color() || (is_hdr && !capabilities.can_tone_map()) {
            return Self::without_zscale(color);
        }
        let matrix = |default: &str| match color.matrix.as_deref() {
            _ if is_rgb(&color.pixel_format) => "gbr".to_owned(),
            Some(matrix) if MATRICES.contains(&matrix) => matrix.to_owned(),
            _ => default.to_owned(),
        };
        match (color.transfer.as_deref(), color.primaries.as_deref()) {
            (Some(transfer), primaries) if is_hdr => {
                // zscale needs explicit values; HDR files that leave them out use BT.2020 in practice.
                let primaries =
                    primaries.filter(|primaries| PRIMARIES.contains(primaries)).unwrap_or("bt2020");
                let (white, peak) = match (transfer, color.peak) {
                    ("arib-std-b67", _) => (REFERENCE_WHITE, HLG_PEAK),
                    (_, peak) => (peak.unwrap_or(REFERENCE_WHITE).clamp(SDR_WHITE, REFERENCE_WHITE), PQ_PEAK),
                };
                let (transfer, primaries) = (transfer.to_owned(), primaries.to_owned());
                Self::ToneMap { transfer, primaries, matrix: matrix("bt2020nc"), white, peak }
            }
            (transfer, Some(primaries)) if WIDE_PRIMARIES.contains(&primaries) => {
                let transfer = transfer.filter(|transfer| TRANSFERS.contains(transfer)).unwrap_or("bt709");
                let default = if primaries == "bt2020" { "bt2020nc" } else { "bt709" };
                let (transfer, primaries) = (transfer.to_owned(), primaries.to_owned());
                Self::Gamut { transfer, primaries, matrix: matrix(default) }
            }
            _ => Self::without_zscale(color),
        }
    }

    fn without_zscale(color: &Color) -> Self {
        if is_rgb(&color.pixel_format) { Self::FromRgb } else { Self::Standard }
    }
}

/// Primaries with colours that BT.709 does not have.
const WIDE_PRIMARIES: [&str; 3] = ["bt2020", "smpte431", "smpte432"];
/// Primaries that have the same name in ffprobe and zscale.
const PRIMARIES: [&str; 4] = ["bt2020", "bt709", "smpte431", "smpte432"];
/// Matrices that have the same name in ffprobe and zscale.
const MATRICES: [&str; 5] = ["bt2020nc", "bt2020c", "bt709", "smpte170m", "bt470bg"];
/// SDR transfer functions that have the same name in ffprobe and zscale.
const TRANSFERS: [&str; 5] = ["bt709", "smpte170m", "bt2020-10", "bt2020-12", "iec61966-2-1"];

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
                matrix: "bt2020nc".into(),
                white: 203,
                peak: 10_000
            }
        );
    }

    #[test]
    fn content_that_is_nowhere_brighter_than_reference_white_is_white_at_its_own_peak() {
        let white = |transfer, peak| {
            let color = Color { peak, ..color("yuv420p10le", Some(transfer)) };
            match Conversion::of(&color, &Capabilities::full()) {
                Conversion::ToneMap { white, .. } => white,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(white("smpte2084", None), 203);
        assert_eq!(white("smpte2084", Some(1000)), 203);
        assert_eq!(white("smpte2084", Some(100)), 100);
        assert_eq!(white("smpte2084", Some(1)), 100, "implausible");
        assert_eq!(white("arib-std-b67", Some(100)), 203, "HLG is relative to the display");
    }

    #[test]
    fn wide_primaries_are_converted_whatever_the_bit_depth() {
        let of = |primaries: &str, transfer| {
            let color = Color { primaries: Some(primaries.into()), ..color("yuv420p", transfer) };
            Conversion::of(&color, &Capabilities::full())
        };
        let gamut = |transfer: &str, primaries: &str, matrix: &str| Conversion::Gamut {
            transfer: transfer.into(),
            primaries: primaries.into(),
            matrix: matrix.into(),
        };
        assert_eq!(of("bt2020", Some("bt2020-10")), gamut("bt2020-10", "bt2020", "bt2020nc"));
        assert_eq!(of("smpte432", None), gamut("bt709", "smpte432", "bt709"));
        assert_eq!(of("bt470bg", None), Conversion::Standard);
        assert_eq!(of("bt709", None), Conversion::Standard);
    }

    #[test]
    fn hdr_is_converted_without_tone_mapping_if_the_filters_are_missing() {
        let bare = Capabilities::without_filters();
        assert_eq!(Conversion::of(&color("yuv420p10le", Some("arib-std-b67")), &bare), Conversion::Standard);
    }
}
