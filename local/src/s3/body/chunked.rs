//! The `aws-chunked` encoding: `size[;chunk-signature=…]\r\n data \r\n …`, ended by a chunk of size zero and trailers.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use http::HeaderMap;

use super::fault::BodyFault;
use super::limits::{MAX_CHUNK_HEADER_BYTES, MAX_SIGNED_CHUNK_BYTES};

/// Checks the framing of a body. Signed chunks are passed on unchanged. An unsigned chunk is split into one chunk per
/// received piece, because some clients send a whole object as one chunk.
pub(super) struct ChunkedFraming {
    signed: bool,
    state: State,
}

enum State {
    /// Reading a chunk's header line; holds the part received so far.
    Header(Vec<u8>),
    /// Reading a chunk's data; holds the number of bytes that are missing.
    Data(u64),
    /// Reading the line end after the data; holds the number of bytes that are missing.
    LineEnd(u8),
    /// Reading the trailers after the last chunk.
    Trailers,
}

impl ChunkedFraming {
    /// The framing that `x-amz-content-sha256` declares; `None` if the body is not chunked.
    pub(super) fn for_headers(headers: &HeaderMap) -> Option<Self> {
        let payload = headers.get("x-amz-content-sha256")?.as_bytes();
        payload.starts_with(b"STREAMING-").then(|| Self {
            signed: !payload.starts_with(b"STREAMING-UNSIGNED-"),
            state: State::Header(Vec::new()),
        })
    }

    /// Checks received bytes and appends the re-encoded ones to `out`.
    pub(super) fn receive(&mut self, mut bytes: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), BodyFault> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Header(line) => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    line.extend_from_slice(&bytes.split_to(end.map_or(bytes.len(), |end| end + 1)));
                    if line.len() > MAX_CHUNK_HEADER_BYTES {
                        return Err(BodyFault::Framing);
                    }
                    if end.is_some() {
                        let line = std::mem::take(line);
                        self.start_chunk(line, out)?;
                    }
                }
                State::Data(left) => {
                    let here = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let data = bytes.split_to(here);
                    *left -= here as u64;
                    if *left == 0 {
                        self.state = State::LineEnd(2);
                    }
                    if self.signed {
                        out.push_back(data);
                    } else {
                        out.extend([format!("{here:x}\r\n").into(), data, Bytes::from_static(b"\r\n")]);
                    }
                }
                State::LineEnd(left) => {
                    let expected = if *left == 2 { b'\r' } else { b'\n' };
                    if bytes[0] != expected {
                        return Err(BodyFault::Framing);
                    }
                    if self.signed {
                        out.push_back(bytes.slice(..1));
                    }
                    bytes.advance(1);
                    *left -= 1;
                    if *left == 0 {
                        self.state = State::Header(Vec::new());
                    }
                }
                State::Trailers => out.push_back(std::mem::take(&mut bytes)),
            }
        }
        Ok(())
    }

    fn start_chunk(&mut self, line: Vec<u8>, out: &mut VecDeque<Bytes>) -> Result<(), BodyFault> {
        let size = size_in(&line).ok_or(BodyFault::Framing)?;
        if self.signed && size > MAX_SIGNED_CHUNK_BYTES {
            return Err(BodyFault::ChunkTooLarge);
        }
        self.state = if size == 0 { State::Trailers } else { State::Data(size) };
        if self.signed || size == 0 {
            out.push_back(line.into());
        }
        Ok(())
    }

    /// Checks that the body is complete.
    pub(super) fn end(&self) -> Result<(), BodyFault> {
        if matches!(self.state, State::Trailers) { Ok(()) } else { Err(BodyFault::Truncated) }
    }
}

/// The size that a chunk's header line states: hexadecimal digits, up to the line end or a semicolon.
fn size_in(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r\n")?;
    let size = line.split(|byte| *byte == b';').next()?;
    // The parser also takes a sign.
    let is_hex = size.iter().all(u8::is_ascii_hexdigit);
    std::str::from_utf8(size).ok().filter(|_| is_hex).and_then(|hex| u64::from_str_radix(hex, 16).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn receive_all(signed: bool, pieces: &[&[u8]]) -> Result<Vec<u8>, BodyFault> {
        let mut framing = ChunkedFraming { signed, state: State::Header(Vec::new()) };
        let mut out = VecDeque::new();
        for piece in pieces {
            framing.receive(Bytes::copy_from_slice(piece), &mut out)?;
        }
        framing.end()?;
        Ok(out.into_iter().flatten().collect())
    }

    /// The data and the trailers of a well-formed body.
    fn decode(mut body: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut data = Vec::new();
        loop {
            let line = body.iter().position(|byte| *byte == b'\n').unwrap();
            let size = std::str::from_utf8(&body[..line - 1]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            body = &body[line + 1..];
            if size == 0 {
                return (data, body.to_vec());
            }
            data.extend_from_slice(&body[..size]);
            assert_eq!(&body[size..size + 2], b"\r\n");
            body = &body[size + 2..];
        }
    }

    #[test]
    fn a_body_that_ends_between_chunks_is_truncated() {
        assert_eq!(receive_all(false, &[b"3\r\nabc\r\n"]), Err(BodyFault::Truncated));
        assert_eq!(receive_all(true, &[b"3;chunk-signature=00\r\nabc\r\n"]), Err(BodyFault::Truncated));
        assert_eq!(receive_all(false, &[b"3\r\nab"]), Err(BodyFault::Truncated));
        assert_eq!(receive_all(false, &[]), Err(BodyFault::Truncated));
    }

    #[test]
    fn wrong_framing_and_large_signed_chunks_are_refused() {
        assert_eq!(receive_all(false, &[b"hello"]), Err(BodyFault::Truncated));
        assert_eq!(receive_all(false, &[b"hello\n"]), Err(BodyFault::Framing));
        assert_eq!(receive_all(false, &[b"3\r\nabcd\r\n0\r\n"]), Err(BodyFault::Framing));
        assert_eq!(receive_all(true, &[b"1000001;chunk-signature=00\r\n"]), Err(BodyFault::ChunkTooLarge));
        assert_eq!(receive_all(false, &[&[b'1'; 300]]), Err(BodyFault::Framing));
        for header in
            ["3x\r\n", "3 \r\n", "3\n", "3\r", "+3\r\n", ";\r\n", "3\rx\n", "3chunk-signature=00\r\n"]
        {
            let body = format!("{header}abc\r\n0\r\n\r\n");
            assert!(receive_all(false, &[body.as_bytes()]).is_err(), "{header:?}");
            assert!(receive_all(true, &[body.as_bytes()]).is_err(), "{header:?}");
        }
    }

    #[test]
    fn signed_chunks_are_passed_on_unchanged() {
        let body =
            b"3;chunk-signature=00\r\nabc\r\n0;chunk-signature=11\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        assert_eq!(receive_all(true, &[&body[..5], &body[5..24], &body[24..]]).unwrap(), body);
    }

    proptest! {
        #[test]
        fn data_and_trailers_are_preserved_however_the_body_is_split(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..5),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend(format!("{:x}\r\n", chunk.len()).bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n");
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len())).chain([0, body.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]).collect();
            let (data, trailers) = decode(&receive_all(false, &pieces).unwrap());
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!(trailers, b"x-amz-checksum-crc32:AAAA\r\n\r\n");
        }
    }
}
