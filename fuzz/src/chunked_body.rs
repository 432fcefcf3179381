//! Bodies in the encoding `aws-chunked`.

use streamio_local::s3::testing::reframe;

/// The longest header line of a chunk, in bytes.
const MAX_LINE: usize = 256;
/// The largest signed chunk, in bytes.
const MAX_SIGNED_CHUNK: u64 = 16 << 20;

/// A body has the same result in whatever pieces it is received, and the one of a decoder that reads it whole. The first byte chooses
/// signed chunks and the pieces.
pub fn check(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let signed = choice & 1 == 1;
    let whole = reframe(signed, &[body]);
    let step = usize::from(choice >> 1) % 31 + 1;
    let pieces: Vec<&[u8]> = body.chunks(step).collect();
    let split = reframe(signed, &pieces);
    match (decode(signed, body), &whole, &split) {
        (Some(expected), Ok(whole), Ok(split)) => {
            for found in [whole, split] {
                assert!(
                    found.len() <= 2 * body.len() + 8 * pieces.len() + 64,
                    "{} of {}",
                    found.len(),
                    body.len()
                );
                if signed {
                    assert_eq!(found, body);
                }
                assert_eq!(decode(signed, found).as_ref(), Some(&expected));
            }
        }
        (None, Err(_), Err(_)) => {}
        (expected, whole, split) => panic!("{expected:?}: {whole:?}, in pieces {split:?}"),
    }
}

/// The data and the trailers of a body; `None` if it does not obey
/// `{size[;extensions]\r\n data\r\n} 0[;extensions]\r\n trailers`.
fn decode(signed: bool, mut body: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut data = Vec::new();
    loop {
        let end = body.iter().position(|byte| *byte == b'\n')?;
        let line = body[..end].strip_suffix(b"\r").filter(|_| end < MAX_LINE)?;
        body = &body[end + 1..];
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        if size.is_empty() || !size.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            return Some((data, body.to_vec()));
        }
        if signed && size > MAX_SIGNED_CHUNK {
            return None;
        }
        let size = usize::try_from(size).ok()?;
        data.extend_from_slice(body.get(..size)?);
        body = body[size..].strip_prefix(b"\r\n")?;
    }
}
