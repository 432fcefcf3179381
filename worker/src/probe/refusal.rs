//! Classifies a file that ffprobe refused by its first bytes.

use crate::failure::Failure;

/// Files of known kinds that are no recordings, by their first bytes. FFmpeg would call them damaged, or guess a format.
const NOT_RECORDED: [(&[u8], &str, &str); 16] = [
    (b"MThd", "a MIDI file", NOTES),
    (b"RIFF????RMID", "a MIDI file", NOTES),
    (b"Extended Module: ", "a tracker module", NOTES),
    (b"IMPM", "a tracker module", NOTES),
    (b"%PDF-", "a PDF document", MEDIA),
    (b"PK\x03\x04", "a ZIP archive or an office document", UNPACKED),
    (b"PK\x05\x06", "a ZIP archive or an office document", UNPACKED),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACKED),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACKED),
    (b"\x1f\x8b\x08", "a gzip archive", UNPACKED),
    (b"FWS", "a Flash animation", MEDIA),
    (b"CWS", "a Flash animation", MEDIA),
    (b"ZWS", "a Flash animation", MEDIA),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document", MEDIA),
    (b"\x7fELF", "a program", MEDIA),
    (b"MZ\x90\0", "a program", MEDIA),
];
const NOTES: &str =
    "it has notes instead of sound: render it to a sound file, such as WAV or MP3, and upload that";
const UNPACKED: &str = "unpack it and upload the media file in it";
const MEDIA: &str = "upload the media itself, in a format such as MP4, MOV, MKV or MP3";

/// Refuses a file whose first bytes, `head`, show that it is no recording. `?` stands for any byte.
pub(super) fn check(head: &[u8]) -> Result<(), Failure> {
    let matches = |signature: &[u8]| {
        head.len() >= signature.len()
            && signature.iter().zip(head).all(|(expected, byte)| *expected == b'?' || expected == byte)
    };
    match NOT_RECORDED.into_iter().find(|(signature, ..)| matches(signature)) {
        Some((_, kind, advice)) => Err(Failure::NotRecorded { kind, advice }),
        None => Ok(()),
    }
}

/// ffprobe's error code for a format that is not on the allow list: `AVERROR(EINVAL)`.
const FORMAT_NOT_ALLOWED: i64 = -22;

/// The failure for a file that ffprobe refused with the error `code`. `head` is the beginning of the file.
pub(super) fn classify(code: i64, head: &[u8]) -> Failure {
    if is_image(head) {
        Failure::ImageNotSupported
    } else if code == FORMAT_NOT_ALLOWED {
        Failure::UnsupportedContainer
    } else if has_media_signature(head) {
        Failure::Corrupt {
            reason: "its index is missing or unreadable, possibly because the file is truncated",
        }
    } else {
        Failure::NotMedia
    }
}

fn is_image(head: &[u8]) -> bool {
    infer::is_image(head)
}

fn has_media_signature(head: &[u8]) -> bool {
    infer::is_video(head) || infer::is_audio(head) || starts_with_iso_box(head) || head.starts_with(&EBML)
}

/// Signature of Matroska and WebM. `infer` needs more of the header than a truncated file may have.
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// Whether the first box is one that ISO base media files (MP4, MOV) begin with. `infer` knows only some brands.
fn starts_with_iso_box(head: &[u8]) -> bool {
    matches!(head.get(4..8), Some(b"ftyp" | b"moov" | b"mdat" | b"wide" | b"free" | b"skip" | b"pnot"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_recording_is_named_for_what_it_is() {
        for (head, kind) in [
            (b"MThd\0\0\0\x06\0\x01".as_slice(), "MIDI"),
            (b"RIFF\x10\0\0\0RMIDdata", "MIDI"),
            (b"%PDF-1.7", "PDF"),
            (b"PK\x03\x04\x14\0", "ZIP"),
        ] {
            let failure = check(head).unwrap_err();
            assert_eq!(failure.code(), "not_media");
            assert!(failure.to_string().contains(kind), "{failure}");
        }
        for head in [b"".as_slice(), b"RIFF\x10\0\0\0AVI LIST", b"MT", b"\0\0\0\x20ftypisom"] {
            assert!(check(head).is_ok());
        }
    }

    const INVALID_DATA: i64 = -1_094_995_529;

    #[test]
    fn a_refused_file_is_classified_by_its_first_bytes() {
        for (code, head, expected) in [
            (INVALID_DATA, b"only some words, no media at all".as_slice(), "not_media"),
            (INVALID_DATA, b"", "not_media"),
            (INVALID_DATA, b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "corrupt"),
            (INVALID_DATA, b"\0\0\0\x14ftypqt  \0\0\0\0qt  \0\0\0\x08wide", "corrupt"),
            (
                INVALID_DATA,
                b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\x82\x84webm",
                "corrupt",
            ),
            (FORMAT_NOT_ALLOWED, b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd", "unsupported_container"),
            (FORMAT_NOT_ALLOWED, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image_not_supported"),
            (FORMAT_NOT_ALLOWED, b"GIF89a\x01\0\x01\0", "image_not_supported"),
            (INVALID_DATA, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image_not_supported"),
        ] {
            assert_eq!(classify(code, head).code(), expected, "{:?}", head.escape_ascii().to_string());
        }
    }
}
