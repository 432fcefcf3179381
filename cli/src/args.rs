//! Arguments that several commands share.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use streamio_events::api_key::ApiKey;
use streamio_events::settings::present;
use streamio_events::timestamp::Timestamp;
use url::Url;

use crate::client::wire::PlaybackRequest;
use crate::exit::{Exit, Failure};

/// How to reach the API.
#[derive(Args)]
#[command(next_help_heading = "API")]
pub(crate) struct Connection {
    /// Address of the API
    #[arg(
        long,
        env = URL_VARIABLE,
        default_value = DEFAULT_URL,
        value_name = "URL",
        hide_env_values = true
    )]
    url: String,
    // Without `env`: clap would report the variable as a conflict with --api-key-file, which is to take precedence.
    #[arg(
        long,
        value_name = "KEY",
        conflicts_with = "api_key_file",
        help = "API key (default: the variable STREAMIO_API_KEY). Prefer the variable or --api-key-file: other users of this machine can see command lines with `ps`"
    )]
    api_key: Option<String>,
    /// File with the API key on its first line
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
}

/// The variable with the address of the API for commands without --url.
const URL_VARIABLE: &str = "STREAMIO_URL";

/// The address of the API on the same machine.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// The variable with the API key for commands without --api-key and --api-key-file.
const API_KEY_VARIABLE: &str = "STREAMIO_API_KEY";

// Omits the key, so that logged arguments do not contain it.
impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Connection {
    /// Whether the address may be meant for something else than the API: --url states another one than `STREAMIO_URL` does or, where the variable
    /// is not set and --url is the only way to name the API, one with a path.
    pub(crate) fn may_be_mistaken(&self) -> Result<bool, Failure> {
        let configured = std::env::var(URL_VARIABLE).ok().and_then(present);
        self.may_differ_from(configured.as_deref())
    }

    fn may_differ_from(&self, configured: Option<&str>) -> Result<bool, Failure> {
        let (url, default) = (self.base()?, base(DEFAULT_URL)?);
        // A variable that is no address is no reason to refuse another one.
        Ok(match configured.and_then(|configured| base(configured).ok()) {
            Some(configured) => url != configured,
            None => url != default && url.path() != "/",
        })
    }

    /// The API's base URL, with a trailing slash.
    pub(crate) fn base(&self) -> Result<Url, Failure> {
        base(&self.url)
    }

    /// The API key from --api-key, --api-key-file or else the environment. Its format and checksum are valid.
    pub(crate) fn key(&self) -> Result<ApiKey, Failure> {
        let (text, given_by) = match (&self.api_key, &self.api_key_file) {
            (Some(text), _) => (text.clone(), "--api-key".to_owned()),
            (None, Some(path)) => (read_key_file(path)?, path.display().to_string()),
            (None, None) => match std::env::var(API_KEY_VARIABLE).ok().and_then(present) {
                Some(text) => (text, API_KEY_VARIABLE.to_owned()),
                None => {
                    return Err(Failure::usage(
                        "no API key was given",
                        "set STREAMIO_API_KEY to the key that `streamio project create` or `streamio key create` printed",
                    ));
                }
            },
        };
        text.trim().parse().map_err(|error| {
            Failure::usage(
                format!("the API key in {given_by} is invalid: {error}"),
                "copy the complete key again, without quotes",
            )
        })
    }
}

/// The base URL of an API at this address, with a trailing slash.
fn base(address: &str) -> Result<Url, Failure> {
    let invalid = |reason: &str| {
        Failure::usage(
            format!("STREAMIO_URL or --url is not a valid address of the API: {reason}"),
            "use an address such as http://127.0.0.1:8080 or https://api.example.com",
        )
    };
    let mut url = Url::parse(address).map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid("it must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("it must not contain a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it must not contain a query or fragment"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// The first line of the file at `path`.
fn read_key_file(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the API key from {}: {error}", path.display());
        match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::permission(
                message,
                "make the file readable for your user, for example with `chmod u+r`, or run the command as its owner",
            ),
            io::ErrorKind::NotFound => {
                Failure::new(Exit::NotFound, message, "name an existing file with --api-key-file")
            }
            _ => Failure::usage(message, "name a readable text file with --api-key-file"),
        }
    })?;
    let line = text.lines().next().unwrap_or_default();
    if line.trim().is_empty() {
        return Err(Failure::usage(
            format!("the first line of {} is empty", path.display()),
            "write the API key into its first line",
        ));
    }
    Ok(line.to_owned())
}

/// For how long and for whom a playback URL is valid.
#[derive(Debug, Args)]
pub(crate) struct PlaybackTerms {
    /// How long the URLs are valid, such as 10m or 2h
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
    /// When the URLs become valid, such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME")]
    starts_at: Option<Timestamp>,
    /// Restrict the URLs to this IPv4 address or network, such as 203.0.113.0/24
    #[arg(long, value_name = "CIDR")]
    ip: Option<String>,
}

impl From<PlaybackTerms> for PlaybackRequest {
    fn from(terms: PlaybackTerms) -> Self {
        Self {
            ttl: terms.ttl.map(|ttl| ttl.as_secs()),
            starts_at: terms.starts_at.map(|time| time.to_string()),
            ip: terms.ip,
            format: None,
        }
    }
}

/// Parses an entry of the metadata.
pub(crate) fn metadata_entry(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must have the form KEY=VALUE, such as lesson=3".to_owned()),
    }
}

/// The data directory of a platform on this machine.
#[derive(Debug, Args)]
pub(crate) struct DataDirectory {
    /// The platform's data directory
    #[arg(
        long = "data",
        env = "STREAMIO_DATA",
        default_value = "streamio-data",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub(crate) path: PathBuf,
}

/// The platform that a command of the operator reads or changes.
#[derive(Debug, Args)]
pub(crate) struct Target {
    #[command(flatten)]
    pub(crate) data: DataDirectory,
    #[cfg(feature = "aws")]
    #[command(flatten)]
    pub(crate) aws: crate::aws_settings::AwsArguments,
}

/// The permission to change a platform without a question.
#[derive(Debug, Args)]
pub(crate) struct Approval {
    /// With --aws: do not ask before the change; necessary where there is no terminal to ask on
    #[arg(long, short, help_heading = AWS_HEADING)]
    pub(crate) yes: bool,
}

/// The heading of the options for AWS.
pub(crate) const AWS_HEADING: &str = "AWS";

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(url: &str, key: Option<&str>) -> Connection {
        Connection { url: url.to_owned(), api_key: key.map(str::to_owned), api_key_file: None }
    }

    #[test]
    fn invalid_addresses_are_refused() {
        assert_eq!(
            connection("https://api.example.com/v1", None).base().unwrap().as_str(),
            "https://api.example.com/v1/"
        );
        for invalid in
            ["127.0.0.1:8080", "ftp://host/", "http://user:secret@host/", "http://host/?a=b", "http://"]
        {
            let failure = connection(invalid, None).base().unwrap_err();
            assert!(!failure.line().contains("secret"), "{invalid}");
        }
    }

    #[test]
    fn an_address_may_be_mistaken_if_it_is_not_the_configured_one() {
        for (url, configured, expected) in [
            ("https://api.example.com", Some("https://api.example.com"), false),
            ("https://API.example.com:443/", Some("https://api.example.com"), false),
            ("https://api.example.com/v1/", Some("https://api.example.com/v1"), false),
            ("https://hooks.example", Some("https://api.example.com"), true),
            ("https://api.example.com/hooks", Some("https://api.example.com"), true),
            ("https://api.example.com", None, false),
            ("https://api.example.com/", None, false),
            ("http://127.0.0.1:8080/", None, false),
            ("https://example.com/webhooks", None, true),
            ("https://example.com/webhooks", Some("nonsense"), true),
        ] {
            let found = connection(url, None).may_differ_from(configured).unwrap();
            assert_eq!(found, expected, "{url}, {configured:?}");
        }
    }

    #[test]
    fn a_mistyped_key_is_refused_and_is_not_in_the_error() {
        let key = ApiKey::generate("live", [7; 32]).unwrap();
        let mut mistyped = key.reveal().to_owned();
        mistyped.replace_range(20..21, if &mistyped[20..21] == "a" { "b" } else { "a" });
        let failure = connection("http://host/", Some(&mistyped)).key().unwrap_err();
        insta::assert_snapshot!(failure.line(), @"error: the API key in --api-key is invalid: the API key's checksum does not match: it was changed or cut when it was copied; copy the complete key again, without quotes");
        assert!(connection("http://host/", Some(&format!(" {}\n", key.reveal()))).key().is_ok());
        assert!(!format!("{:?}", connection("http://host/", Some(key.reveal()))).contains(key.reveal()));
    }
}
