//! Reads the RFC 6381 codec string for the `CODECS` attribute from an initialization segment.

use std::io::Cursor;

use mp4_atom::{Any, Codec, ReadFrom};

/// Why no codec string could be read.
#[derive(Debug, thiserror::Error)]
pub enum UnknownCodec {
    /// The initialization segment cannot be parsed.
    #[error("the initialization segment cannot be read")]
    Unreadable(#[from] mp4_atom::Error),
    /// It describes neither H.264 nor AAC.
    #[error("the initialization segment describes neither H.264 nor AAC")]
    Missing,
}

/// Returns the codec of the only track of `init`: `avc1.PPCCLL` (profile, constraints and level in hexadecimal, ISO/IEC
/// 14496-15) or `mp4a.40.N` (audio object type, ISO/IEC 14496-3).
pub fn from_init_segment(init: &[u8]) -> Result<String, UnknownCodec> {
    let mut reader = Cursor::new(init);
    while let Some(atom) = Option::<Any>::read_from(&mut reader)? {
        let Any::Moov(moov) = atom else { continue };
        for description in moov.trak.iter().flat_map(|track| &track.mdia.minf.stbl.stsd.codecs) {
            match description {
                Codec::Avc1(avc1) => {
                    let config = &avc1.avcc;
                    return Ok(format!(
                        "avc1.{:02x}{:02x}{:02x}",
                        config.avc_profile_indication,
                        config.profile_compatibility,
                        config.avc_level_indication
                    ));
                }
                Codec::Mp4a(mp4a) => {
                    let specific =
                        mp4a.esds.es_desc.dec_config.dec_specific.as_ref().ok_or(UnknownCodec::Missing)?;
                    return Ok(format!("mp4a.40.{}", specific.profile));
                }
                _ => {}
            }
        }
    }
    Err(UnknownCodec::Missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_an_initialization_segment_are_refused() {
        assert!(from_init_segment(b"").is_err());
        assert!(from_init_segment(b"\0\0\0\x08moov").is_err());
        assert!(from_init_segment(b"some text that is long enough to hold a header").is_err());
    }
}
