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
  streamio playback projects/acme/clip.mp4

Operate a deployment on AWS: project, key, events, audit and dead-letters with --aws:
  streamio project create acme --aws --region eu-west-1

Environment:
  STREAMIO_URL      address of the API, default http://127.0.0.1:8080
  STREAMIO_API_KEY  API key for upload, video, playback, playback-url and webhook
  STREAMIO_DATA     data directory of the commands that open it, default ./streamio-data
  STREAMIO_CONFIG   file with the settings of a deployment on AWS, default ./streamio.toml";

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
    /// Print nothing but errors and the result
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

/// Returns `command` without the environment variables of its arguments that are blank, which clap would use as values, and without that
/// of the data directory if --aws is given, with which clap would report a conflict.
fn ignore_blank_variables(command: clap::Command) -> clap::Command {
    let is_aws = std::env::args_os().any(|argument| argument == "--aws");
    command
        .mut_args(|argument| {
            let value = argument.get_env().and_then(std::env::var_os);
            let is_blank =
                value.is_some_and(|value| value.to_str().is_some_and(|text| text.trim().is_empty()));
            let is_replaced = is_aws && argument.get_long() == Some("data");
            if is_blank || is_replaced { argument.env(Resettable::Reset) } else { argument }
        })
        .mut_subcommands(ignore_blank_variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands below `command` whose help has no example with their full name.
    fn without_example(command: &clap::Command, path: &str) -> Vec<String> {
        let path = format!("{path}{} ", command.get_name());
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let has_example = help.contains(&format!("\n  {}", path.trim()));
        let below = command.get_subcommands().filter(|command| !command.is_hide_set());
        let mut missing: Vec<String> = below.flat_map(|command| without_example(command, &path)).collect();
        if !has_example {
            missing.push(path);
        }
        missing
    }

    #[test]
    fn the_help_of_every_command_has_an_example() {
        assert_eq!(without_example(&CommandLine::command(), ""), [""; 0]);
    }

    #[test]
    fn the_examples_are_valid_command_lines() {
        const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        for line in examples(&CommandLine::command()) {
            let parsed = CommandLine::try_parse_from(words(&line.replace("\"$KEY\"", KEY)));
            assert!(
                parsed.is_ok(),
                "{line}: {}",
                parsed.err().map(|error| error.to_string()).unwrap_or_default()
            );
        }
    }

    /// The lines of all examples that begin with the program's name.
    fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let own: Vec<String> = help
            .lines()
            .filter(|line| line.starts_with("  streamio "))
            .map(|line| line.trim().to_owned())
            .collect();
        own.into_iter().chain(command.get_subcommands().flat_map(examples)).collect()
    }

    /// The words of the line's first command, as a shell splits them.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
        for character in line.chars() {
            match character {
                '\'' => is_quoted = !is_quoted,
                '#' | '|' | '&' | '>' if !is_quoted => break,
                ' ' if !is_quoted => {
                    words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                }
                other => word.push(other),
            }
        }
        words.extend(Some(word).filter(|word| !word.is_empty()));
        words
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
