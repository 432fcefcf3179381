//! The top level of the command line: global options, the commands, and their help.

use clap::Parser;

use crate::commands::Command;
use crate::exit::EXIT_CODES;

const EXAMPLES: &str = "\
Run the platform, create a project, upload a video, play it:
  streamio up
  streamio project create acme
  export STREAMIO_API_KEY=sio_live_…          # the key that `project create` printed
  streamio upload clip.mp4 --wait
  streamio playback-url processed/acme/clip.mp4.hls/master.m3u8

Environment:
  STREAMIO_URL      address of the API, default http://127.0.0.1:8080
  STREAMIO_API_KEY  API key for upload, video and playback-url
  STREAMIO_DATA     data directory for up, project, key and events, default ./streamio-data";

/// Upload, process and play videos.
#[derive(Debug, Parser)]
#[command(name = "streamio", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct CommandLine {
    /// Print the result as one JSON value on standard output. Errors are printed as a JSON object on the last line
    /// of standard error
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print no progress and no notes
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,
    /// The command to run.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
