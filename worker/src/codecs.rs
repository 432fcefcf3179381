//! What the encoder really produced, read from an initialization segment: RFC 6381 codecs for `CODECS`.

use std::io::Cursor;

use mp4_atom::{Any, Codec, ReadFrom};

/// An initialization segment without a codec that we encode to.
#[derive(Debug, thiserror::Error)]
pub enum UnknownCodec {
    /// It cannot be parsed.
    #[error("the initialization segment cannot be read")]
    Unreadable(#[from] mp4_atom::Error),
    /// It has no sample description of H.264 or AAC.
    #[error("the initialization segment describes neither H.264 nor AAC")]
    Missing,
}

/// The codec of the only track of `init`: `avc1.PPCCLL` (ISO/IEC 14496-15: profile, constraints and level in hexadecimal)
/// or `mp4a.40.N` (ISO/IEC 14496-3: audio object type).
pub fn of_init(init: &[u8]) -> Result<String, UnknownCodec> {
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
    fn what_is_no_initialization_segment_is_refused() {
        assert!(of_init(b"").is_err());
        assert!(of_init(b"\0\0\0\x08moov").is_err());
        assert!(of_init(b"some text that is long enough to hold a header").is_err());
    }
}
