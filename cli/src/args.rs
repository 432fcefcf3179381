//! The command line: what is common to all commands. Each command's own arguments are with the command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use streamio_events::api_key::ApiKey;
use url::Url;

use crate::commands::{events, key, playback_url, project, up, upload, video};
use crate::exit::{EXIT_CODES, Failure};

const EXAMPLES: &str = "\
Run it, make a project, send a video, play it:
  streamio up
  streamio project create acme
  export STREAMIO_API_KEY=sio_live_…          # as `project create` printed it
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
pub(crate) struct Cli {
    /// Print the answer as one JSON value on standard output; an error is then a JSON object, the last line of
    /// standard error
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print no progress and no remarks
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::Arguments),
    #[command(subcommand)]
    Project(project::Command),
    #[command(subcommand)]
    Key(key::Command),
    Upload(upload::Arguments),
    #[command(subcommand)]
    Video(video::Command),
    PlaybackUrl(playback_url::Arguments),
    #[command(subcommand)]
    Events(events::Command),
    /// Process one video, as the platform's job in the environment says
    #[command(name = "__worker", hide = true)]
    Worker,
}

/// How to reach the API.
#[derive(Args)]
#[command(next_help_heading = "API")]
pub(crate) struct Connection {
    /// Address of the API
    #[arg(
        long,
        env = "STREAMIO_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL",
        hide_env_values = true
    )]
    url: String,
    /// API key. Prefer the environment variable or --api-key-file: other users of this machine can read a command
    /// line (`ps`)
    #[arg(
        long,
        env = "STREAMIO_API_KEY",
        value_name = "KEY",
        hide_env_values = true,
        conflicts_with = "api_key_file"
    )]
    api_key: Option<String>,
    /// Read the API key from the first line of a file
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
}

// The key must not reach a log through the arguments.
impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Connection {
    /// The API's address, which ends in a slash.
    pub(crate) fn base(&self) -> Result<Url, Failure> {
        let wrong = |reason: &str| {
            Failure::usage(
                format!("STREAMIO_URL or --url is not the address of an API: {reason}"),
                "give one like http://127.0.0.1:8080 or https://api.example.com",
            )
        };
        let mut url = Url::parse(&self.url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("it is neither http:// nor https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it holds a user name or a password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a query or a fragment"));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(url)
    }

    /// The API key, whose form and checksum are right.
    pub(crate) fn key(&self) -> Result<ApiKey, Failure> {
        let text = match (&self.api_key, &self.api_key_file) {
            (_, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::usage(
                        format!("the API key cannot be read from {}: {error}", path.display()),
                        "name a readable file with --api-key-file",
                    )
                })?;
                text.lines().next().unwrap_or_default().to_owned()
            }
            (Some(text), None) => text.clone(),
            (None, None) => {
                return Err(Failure::usage(
                    "there is no API key",
                    "set STREAMIO_API_KEY to the key that `streamio project create` or `streamio key create` printed",
                ));
            }
        };
        text.trim().parse().map_err(|error| {
            Failure::usage(
                format!("the API key is not usable: {error}"),
                "copy the whole key again, without quotes",
            )
        })
    }
}

/// Where a platform keeps its data.
#[derive(Debug, Args)]
pub(crate) struct DataDirectory {
    /// Data directory of the platform
    #[arg(
        long = "data",
        env = "STREAMIO_DATA",
        default_value = "streamio-data",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub(crate) path: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn connection(url: &str, key: Option<&str>) -> Connection {
        Connection { url: url.to_owned(), api_key: key.map(str::to_owned), api_key_file: None }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_are_checked_before_anything_is_sent() {
        assert_eq!(
            connection("https://api.example.com/v1", None).base().unwrap().as_str(),
            "https://api.example.com/v1/"
        );
        for wrong in
            ["127.0.0.1:8080", "ftp://host/", "http://user:secret@host/", "http://host/?a=b", "http://"]
        {
            let failure = connection(wrong, None).base().unwrap_err();
            assert!(!failure.line().contains("secret"), "{wrong}");
        }
    }

    #[test]
    fn a_mistyped_key_is_refused_without_being_repeated() {
        let key = ApiKey::generate("live", [7; 32]).unwrap();
        let mut mistyped = key.reveal().to_owned();
        mistyped.replace_range(20..21, if &mistyped[20..21] == "a" { "b" } else { "a" });
        let failure = connection("http://host/", Some(&mistyped)).key().unwrap_err();
        insta::assert_snapshot!(failure.line(), @"error: the API key is not usable: the API key's checksum does not match: it was changed or cut when it was copied; copy the whole key again, without quotes");
        assert!(connection("http://host/", Some(&format!(" {}\n", key.reveal()))).key().is_ok());
        assert!(!format!("{:?}", connection("http://host/", Some(key.reveal()))).contains(key.reveal()));
    }
}
