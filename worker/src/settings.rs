//! The worker's environment, read once, every mistake in it named at once.

use std::fmt;
use std::path::PathBuf;

use streamio_events::job::Job;
use url::Url;

/// All that a worker is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The attempt to make. `STREAMIO_JOB`, JSON.
    pub job: Job,
    /// The event log: `sqlite:/path/to/log.db`. `STREAMIO_LOG`.
    pub log: PathBuf,
    /// Object storage.
    pub s3: S3Settings,
    /// A directory for files on their way to storage. `STREAMIO_SCRATCH`.
    pub scratch: PathBuf,
    /// The worker's name in events, such as a task's ARN. `STREAMIO_TASK`; by default the process.
    pub task: String,
    /// The program `ffmpeg`. `STREAMIO_FFMPEG`.
    pub ffmpeg: String,
    /// The program `ffprobe`. `STREAMIO_FFPROBE`.
    pub ffprobe: String,
    /// Whether the end of standard input means that the parent has died. `STREAMIO_PARENT_PIPE=1`.
    pub parent_pipe: bool,
}

/// Where object storage is and how to sign requests to it.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// `STREAMIO_S3_ENDPOINT`; without it, AWS's own.
    pub endpoint: Option<Url>,
    /// `STREAMIO_S3_REGION`.
    pub region: String,
    /// Whether the bucket stands in the path rather than in the host's name. `STREAMIO_S3_PATH_STYLE`, `1` or `true`.
    pub path_style: bool,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret,
    /// `AWS_SESSION_TOKEN`, for temporary credentials.
    pub session_token: Option<Secret>,
}

/// Text that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// What is wrong with the environment, one line a variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment of the worker is not complete:\n{}", .0.join("\n"))]
pub struct InvalidSettings(pub Vec<String>);

impl Settings {
    /// Reads the variables through `variable`, which answers `None` for one that is not set.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        let mut problems = Vec::new();
        let mut required = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty());
            if value.is_none() {
                problems.push(format!("{name} is not set"));
            }
            value.unwrap_or_default()
        };
        let job = required("STREAMIO_JOB");
        let log = required("STREAMIO_LOG");
        let region = required("STREAMIO_S3_REGION");
        let access_key_id = required("AWS_ACCESS_KEY_ID");
        let secret_access_key = Secret(required("AWS_SECRET_ACCESS_KEY"));
        let scratch = PathBuf::from(required("STREAMIO_SCRATCH"));

        let job = if job.is_empty() {
            None
        } else {
            checked(&mut problems, "STREAMIO_JOB", serde_json::from_str(&job))
        };
        let log = match log.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ if log.is_empty() => PathBuf::new(),
            _ => {
                problems.push("STREAMIO_LOG is not of the form sqlite:/path/to/log.db".to_owned());
                PathBuf::new()
            }
        };
        let endpoint = variable("STREAMIO_S3_ENDPOINT").filter(|endpoint| !endpoint.is_empty());
        let endpoint =
            endpoint.and_then(|text| checked(&mut problems, "STREAMIO_S3_ENDPOINT", Url::parse(&text)));
        let switch = |name: &str| variable(name).is_some_and(|value| value == "1" || value == "true");
        let s3 = S3Settings {
            endpoint,
            region,
            path_style: switch("STREAMIO_S3_PATH_STYLE"),
            access_key_id,
            secret_access_key,
            session_token: variable("AWS_SESSION_TOKEN").filter(|token| !token.is_empty()).map(Secret),
        };
        match job {
            Some(job) if problems.is_empty() => Ok(Self {
                job,
                log,
                s3,
                scratch,
                task: variable("STREAMIO_TASK").unwrap_or_else(|| format!("process {}", std::process::id())),
                ffmpeg: variable("STREAMIO_FFMPEG").unwrap_or_else(|| "ffmpeg".to_owned()),
                ffprobe: variable("STREAMIO_FFPROBE").unwrap_or_else(|| "ffprobe".to_owned()),
                parent_pipe: switch("STREAMIO_PARENT_PIPE"),
            }),
            _ => Err(InvalidSettings(problems)),
        }
    }
}

fn checked<T, E: fmt::Display>(problems: &mut Vec<String>, name: &str, result: Result<T, E>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(format!("{name} cannot be read: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(name: &str) -> Option<String> {
        let value = match name {
            "STREAMIO_JOB" => {
                r#"{"projectId":"acme","videoId":"vid_abcdefghijklmnopqrstuvwxyz","s3Key":"projects/acme/clip.mp4",
                    "generation":1,"attempt":1,"clientToken":"tok","rawBucket":"raw","processedBucket":"processed"}"#
            }
            "STREAMIO_LOG" => "sqlite:/data/log.db",
            "STREAMIO_S3_ENDPOINT" => "http://127.0.0.1:9000",
            "STREAMIO_S3_REGION" => "local",
            "STREAMIO_S3_PATH_STYLE" => "1",
            "AWS_ACCESS_KEY_ID" => "key",
            "AWS_SECRET_ACCESS_KEY" => "hidden-key",
            "AWS_SESSION_TOKEN" => "hidden-token",
            "STREAMIO_SCRATCH" => "/scratch",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn a_complete_environment_is_read_and_its_secrets_are_not_printed() {
        let settings = Settings::read(complete).unwrap();
        assert_eq!(settings.log, PathBuf::from("/data/log.db"));
        assert!(settings.s3.path_style && !settings.parent_pipe);
        let printed = format!("{settings:?}");
        assert!(!printed.contains("hidden"), "{printed}");
    }

    #[test]
    fn every_missing_variable_is_reported_at_once() {
        let InvalidSettings(problems) = Settings::read(|_| None).unwrap_err();
        assert_eq!(problems.len(), 6, "{problems:?}");
    }

    #[test]
    fn every_malformed_variable_is_reported_at_once() {
        let error = Settings::read(|name| match name {
            "STREAMIO_JOB" => Some("{}".into()),
            "STREAMIO_LOG" => Some("postgres:x".into()),
            "STREAMIO_S3_ENDPOINT" => Some("nowhere".into()),
            name => complete(name),
        });
        assert_eq!(error.unwrap_err().0.len(), 3);
    }
}
