//! Whether a stream can be decoded at all.

use super::{MAX_OUTPUT_BYTES, TIMEOUT, decoding, input};
use crate::failure::MachineError;
use crate::process::CaptureError;
use crate::relay::Input;
use crate::tools::Tools;

/// Whether any frame in the first 100 packets of stream `index` can be decoded. Distinguishes a damaged source from a failed
/// encoder. `true` if ffprobe does not end in time.
pub async fn is_decodable(tools: &Tools, input: &Input, index: u32) -> Result<bool, MachineError> {
    let mut args: Vec<String> = ["-hide_banner", "-v", "error"].map(str::to_owned).into();
    args.extend(input::guards());
    args.extend(["-select_streams".to_owned(), index.to_string()]);
    args.extend(
        ["-read_intervals", "%+#100", "-count_frames", "-show_entries", "stream=nb_read_frames"]
            .map(str::to_owned),
    );
    args.extend(["-of", "csv=p=0", "-i", input.url()].map(str::to_owned));
    match tools.ffprobe(args, input, decoding(TIMEOUT)).capture(TIMEOUT, MAX_OUTPUT_BYTES).await {
        Ok(finished) => {
            // One line for the stream and one for each program that contains it.
            let text = String::from_utf8_lossy(&finished.stdout).into_owned();
            let frames = |line: &str| line.trim().trim_end_matches(',').parse::<u64>();
            Ok(text.lines().any(|line| frames(line).is_ok_and(|frames| frames > 0)))
        }
        Err(CaptureError::Machine(error)) => Err(error),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot check whether the source is decodable"
            );
            Ok(true)
        }
    }
}
