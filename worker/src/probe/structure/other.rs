//! Formats that state their size in one field, or not at all: FLV, FLAC, MP3, MPEG transport streams.

use super::{MediaEnd, Structure};

pub(super) fn read(head: &[u8], bytes: u64) -> Structure {
    let size = if head.starts_with(b"FLV") { flv_size(head) } else { mp3_size(head) };
    let exact_seconds = flac_seconds(head);
    Structure {
        is_cut: size.is_some_and(|size| size > bytes),
        end: MediaEnd::stated_if(size.is_some() || exact_seconds.is_some()),
        exact_seconds,
        is_encrypted: is_scrambled(head),
        ..Structure::default()
    }
}

/// The property `filesize` of the object `onMetaData`: a double after a type of zero.
fn flv_size(head: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"filesize\0";
    let head = &head[..head.len().min(64 * 1024)];
    let position = head.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let size = f64::from_be_bytes(head.get(position..position + 8)?.try_into().ok()?);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
    Some(size as u64)
}

/// The end of the sound as the first frame of an MP3 states it (`Xing` or `Info`), which follows the `ID3v2` tag.
fn mp3_size(head: &[u8]) -> Option<u64> {
    let start = match head {
        [b'I', b'D', b'3', _, _, _, a, b, c, d, ..] => {
            [a, b, c, d].iter().fold(0, |size, byte| size << 7 | usize::from(**byte & 0x7f)) + 10
        }
        _ => 0,
    };
    let frame = head.get(start..)?;
    if *frame.first()? != 0xff {
        return None;
    }
    let frame = &frame[..frame.len().min(200)];
    let tag = frame.windows(4).position(|window| matches!(window, b"Xing" | b"Info"))?;
    let number = |at: usize| Some(u32::from_be_bytes(frame.get(at..at + 4)?.try_into().ok()?));
    let flags = number(tag + 4)?;
    let position = tag + 8 + if flags & 1 != 0 { 4 } else { 0 };
    (flags & 2 != 0).then(|| number(position)).flatten().map(|size| start as u64 + u64::from(size))
}

/// The duration of a FLAC file in STREAMINFO (RFC 9639, section 8.2); `None` where it is unknown.
fn flac_seconds(head: &[u8]) -> Option<f64> {
    let info: [u8; 8] = head.strip_prefix(b"fLaC")?.get(14..22)?.try_into().ok()?;
    let info = u64::from_be_bytes(info);
    let (rate, samples) = (info >> 44, info & 0xf_ffff_ffff);
    #[allow(clippy::cast_precision_loss, reason = "36 bits")]
    (rate > 0 && samples > 0).then(|| samples as f64 / rate as f64)
}

/// Bytes of a packet of a transport stream.
const PACKET: usize = 188;

/// Whether most packets of a transport stream are scrambled (ISO/IEC 13818-1, 2.4.3.3).
fn is_scrambled(head: &[u8]) -> bool {
    let packets = head.chunks_exact(PACKET).take(10_000);
    if head.len() < 8 * PACKET || packets.clone().any(|packet| packet[0] != 0x47) {
        return false;
    }
    packets.clone().filter(|packet| packet[3] & 0x80 != 0).count() * 2 > packets.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flac_file_states_its_duration_in_samples() {
        let mut head = b"fLaC\0\0\0\x22".to_vec();
        head.extend([0; 10]);
        // 44,100 Hz in 20 bits, stereo, 16 bits, 88,200 samples.
        head.extend(((44_100u64 << 44) + (1 << 41) + (15 << 36) + 88_200).to_be_bytes());
        head.extend([0; 16]);
        assert_eq!(read(&head, 1000).exact_seconds, Some(2.0));
    }

    #[test]
    fn a_transport_stream_is_encrypted_if_most_packets_are_scrambled() {
        let packet = |control: u8| {
            let mut packet = [0xff; PACKET];
            packet[..4].copy_from_slice(&[0x47, 0x01, 0x00, control]);
            packet
        };
        assert!(is_scrambled(&[packet(0xd0); 20].concat()));
        assert!(!is_scrambled(&[packet(0x10); 20].concat()));
        assert!(!is_scrambled(b"\x47 is the letter G"));
    }
}
