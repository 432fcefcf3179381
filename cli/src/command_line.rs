//! The top level of the command line: global options, the commands, and their help.

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};

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

impl CommandLine {
    /// Parses the arguments and the environment of this process. A blank environment variable counts as absent.
    pub(crate) fn from_process() -> Result<Self, clap::Error> {
        match ignore_blank_variables(Self::command()).try_get_matches() {
            Ok(matches) => Self::from_arg_matches(&matches),
            // The help names all variables, also blank ones.
            Err(error) if error.kind() == ErrorKind::DisplayHelp => Self::try_parse(),
            Err(error) => Err(error),
        }
    }
}

/// Returns `command` without the environment variables of its arguments that are blank. Clap would use them as values.
fn ignore_blank_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| {
            let value = argument.get_env().and_then(std::env::var_os);
            let is_blank =
                value.is_some_and(|value| value.to_str().is_some_and(|text| text.trim().is_empty()));
            if is_blank { argument.env(Resettable::Reset) } else { argument }
        })
        .mut_subcommands(ignore_blank_variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
