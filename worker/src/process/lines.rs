//! Reads text line by line in bounded memory.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Longest line that is passed on whole.
const MAX_BYTES: usize = 4096;

/// Calls `each` with every line of `text`, without its line break and cut at [`MAX_BYTES`].
pub(super) async fn read(text: impl AsyncRead + Unpin, mut each: impl FnMut(&str)) -> std::io::Result<()> {
    let mut text = BufReader::with_capacity(64 * 1024, text);
    let mut line = Vec::new();
    loop {
        let chunk = text.fill_buf().await?;
        if chunk.is_empty() {
            if !line.is_empty() {
                each(&String::from_utf8_lossy(&line));
            }
            return Ok(());
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        line.extend_from_slice(&part[..part.len().min(MAX_BYTES - line.len())]);
        let used = part.len() + usize::from(end.is_some());
        if end.is_some() {
            each(&String::from_utf8_lossy(&line));
            line.clear();
        }
        text.consume(used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_separated_and_cut_at_the_limit() {
        let long = "x".repeat(100_000);
        let text = format!("a\n\n{long}\nlast");
        let mut lines = Vec::new();
        read(text.as_bytes(), |line| lines.push(line.to_owned())).await.unwrap();
        assert_eq!(lines, ["a", "", &long[..MAX_BYTES], "last"]);
    }
}
