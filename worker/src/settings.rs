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
    /// The event log: `sqlite:/path/to/log.db` or `dynamodb:table`. `STREAMIO_LOG`.
    pub log: LogPlace,
    /// Where progress is stated: `kinesis:stream`; without it, the event log. `STREAMIO_INTAKE`.
    pub intake: Option<IntakePlace>,
    /// Object storage.
    pub s3: S3Settings,
    /// A directory for files on their way to storage. `STREAMIO_SCRATCH`.
    pub scratch: PathBuf,
    /// The worker's name in events, which no other worker has.
    pub task: TaskName,
    /// The program `ffmpeg`. `STREAMIO_FFMPEG`.
    pub ffmpeg: String,
    /// The program `ffprobe`. `STREAMIO_FFPROBE`.
    pub ffprobe: String,
    /// Whether the end of standard input means that the parent has died. `STREAMIO_PARENT_PIPE=1`.
    pub parent_pipe: bool,
}

/// Where the event log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPlace {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A table of DynamoDB, in the region and with the credentials that the AWS SDK finds in its own environment.
    Dynamo {
        /// The table's name.
        table: String,
    },
}

/// Where facts are handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntakePlace {
    /// A stream of Kinesis, which is asked as a table of DynamoDB is.
    Kinesis {
        /// The stream's name.
        stream_name: String,
    },
}

/// How the worker comes by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskName {
    /// `STREAMIO_TASK`.
    Given(String),
    /// It is the ARN of the task that it runs in, which ECS tells at this address. `ECS_CONTAINER_METADATA_URI_V4`, set by
    /// ECS itself.
    OfEcs(Url),
    /// It makes one up.
    MadeUp,
}

/// Where object storage is and how to sign requests to it.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// `STREAMIO_S3_ENDPOINT`; without it, AWS's own.
    pub endpoint: Option<Url>,
    /// `STREAMIO_S3_REGION`, or else `AWS_REGION`.
    pub region: String,
    /// Whether the bucket stands in the path rather than in the host's name. `STREAMIO_S3_PATH_STYLE`, `1` or `true`.
    pub path_style: bool,
    /// Without them, the AWS SDK finds its own: in a task of ECS those of the task's role.
    pub credentials: Option<AccessKey>,
}

/// A key of the environment.
#[derive(Debug, Clone)]
pub struct AccessKey {
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
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut required = |name: &str| {
            let value = given(name);
            if value.is_none() {
                problems.push(format!("{name} is not set"));
            }
            value
        };
        let job = required("STREAMIO_JOB");
        let log = required("STREAMIO_LOG");
        let scratch = required("STREAMIO_SCRATCH").map(PathBuf::from);
        let region = given("STREAMIO_S3_REGION").or_else(|| given("AWS_REGION"));
        if region.is_none() {
            problems.push("STREAMIO_S3_REGION is not set, nor is AWS_REGION".to_owned());
        }

        let job = job.and_then(|job| checked(&mut problems, "STREAMIO_JOB", serde_json::from_str(&job)));
        let log = log.and_then(|log| checked(&mut problems, "STREAMIO_LOG", LogPlace::parse(&log)));
        let intake = given("STREAMIO_INTAKE")
            .and_then(|text| checked(&mut problems, "STREAMIO_INTAKE", IntakePlace::parse(&text)));
        let credentials = credentials(&given, &mut problems);
        let endpoint = given("STREAMIO_S3_ENDPOINT")
            .and_then(|text| checked(&mut problems, "STREAMIO_S3_ENDPOINT", Url::parse(&text)));
        let metadata = given("ECS_CONTAINER_METADATA_URI_V4")
            .and_then(|text| checked(&mut problems, "ECS_CONTAINER_METADATA_URI_V4", Url::parse(&text)));
        let task = match (given("STREAMIO_TASK"), metadata) {
            (Some(name), _) => TaskName::Given(name),
            (None, Some(metadata)) => TaskName::OfEcs(metadata),
            (None, None) => TaskName::MadeUp,
        };
        let switch = |name: &str| given(name).is_some_and(|value| value == "1" || value == "true");
        match (job, log, scratch, region) {
            (Some(job), Some(log), Some(scratch), Some(region)) if problems.is_empty() => Ok(Self {
                job,
                log,
                intake,
                s3: S3Settings {
                    endpoint,
                    region,
                    path_style: switch("STREAMIO_S3_PATH_STYLE"),
                    credentials,
                },
                scratch,
                task,
                ffmpeg: given("STREAMIO_FFMPEG").unwrap_or_else(|| "ffmpeg".to_owned()),
                ffprobe: given("STREAMIO_FFPROBE").unwrap_or_else(|| "ffprobe".to_owned()),
                parent_pipe: switch("STREAMIO_PARENT_PIPE"),
            }),
            _ => Err(InvalidSettings(problems)),
        }
    }
}

/// Half a key is a mistake, and not a reason to look for another.
fn credentials(given: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> Option<AccessKey> {
    match (given("AWS_ACCESS_KEY_ID"), given("AWS_SECRET_ACCESS_KEY")) {
        (Some(access_key_id), Some(secret)) => Some(AccessKey {
            access_key_id,
            secret_access_key: Secret(secret),
            session_token: given("AWS_SESSION_TOKEN").map(Secret),
        }),
        (None, None) => None,
        (id, _) => {
            let (is, is_not) = if id.is_some() {
                ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            } else {
                ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")
            };
            problems.push(format!("{is_not} is not set, though {is} is"));
            None
        }
    }
}

impl LogPlace {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("dynamodb", table)) if !table.is_empty() => Ok(Self::Dynamo { table: table.to_owned() }),
            _ => Err("it is neither of the form sqlite:/path/to/log.db nor of the form dynamodb:table"),
        }
    }
}

impl IntakePlace {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text.split_once(':') {
            Some(("kinesis", name)) if !name.is_empty() => Ok(Self::Kinesis { stream_name: name.to_owned() }),
            _ => Err("it is not of the form kinesis:stream"),
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

    /// As ECS and the task definition set it.
    fn on_ecs(name: &str) -> Option<String> {
        match name {
            "STREAMIO_JOB" | "STREAMIO_SCRATCH" => complete(name),
            "STREAMIO_LOG" => Some("dynamodb:streamio-ledger".to_owned()),
            "STREAMIO_INTAKE" => Some("kinesis:streamio-facts".to_owned()),
            "AWS_REGION" => Some("eu-central-1".to_owned()),
            "ECS_CONTAINER_METADATA_URI_V4" => Some("http://169.254.170.2/v4/c13b4cb4-1234".to_owned()),
            _ => None,
        }
    }

    fn problems(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
        Settings::read(variable).unwrap_err().0
    }

    #[test]
    fn a_complete_environment_is_read_and_its_secrets_are_not_printed() {
        let settings = Settings::read(complete).unwrap();
        assert_eq!(settings.log, LogPlace::Sqlite(PathBuf::from("/data/log.db")));
        assert_eq!(settings.intake, None);
        assert_eq!(settings.task, TaskName::MadeUp);
        assert!(settings.s3.path_style && !settings.parent_pipe && settings.s3.credentials.is_some());
        let printed = format!("{settings:?}");
        assert!(!printed.contains("hidden"), "{printed}");
    }

    #[test]
    fn in_a_task_of_ecs_little_has_to_be_said() {
        let settings = Settings::read(on_ecs).unwrap();
        assert_eq!(settings.log, LogPlace::Dynamo { table: "streamio-ledger".to_owned() });
        assert_eq!(settings.intake, Some(IntakePlace::Kinesis { stream_name: "streamio-facts".to_owned() }));
        assert_eq!(settings.s3.region, "eu-central-1");
        assert!(settings.s3.credentials.is_none() && settings.s3.endpoint.is_none());
        let TaskName::OfEcs(metadata) = settings.task else { panic!("{:?}", settings.task) };
        assert_eq!(metadata.path(), "/v4/c13b4cb4-1234");
        let given = Settings::read(|name| match name {
            "STREAMIO_TASK" => Some("task-1".to_owned()),
            name => on_ecs(name),
        });
        assert_eq!(given.unwrap().task, TaskName::Given("task-1".to_owned()));
    }

    #[test]
    fn every_missing_variable_is_reported_at_once() {
        assert_eq!(
            problems(|_| None),
            [
                "STREAMIO_JOB is not set",
                "STREAMIO_LOG is not set",
                "STREAMIO_SCRATCH is not set",
                "STREAMIO_S3_REGION is not set, nor is AWS_REGION",
            ]
        );
        let half = |name: &str| complete(name).filter(|_| name != "AWS_ACCESS_KEY_ID");
        assert_eq!(problems(half), ["AWS_ACCESS_KEY_ID is not set, though AWS_SECRET_ACCESS_KEY is"]);
    }

    #[test]
    fn every_malformed_variable_is_reported_at_once() {
        let malformed = |name: &str| match name {
            "STREAMIO_JOB" => Some("{}".into()),
            "STREAMIO_LOG" => Some("postgres:x".into()),
            "STREAMIO_INTAKE" => Some("kinesis:".into()),
            "STREAMIO_S3_ENDPOINT" => Some("nowhere".into()),
            "ECS_CONTAINER_METADATA_URI_V4" => Some("/v4".into()),
            name => complete(name),
        };
        assert_eq!(problems(malformed).len(), 5);
        for log in ["sqlite:", "dynamodb:", "log.db"] {
            let problems = problems(|name| match name {
                "STREAMIO_LOG" => Some(log.to_owned()),
                name => complete(name),
            });
            assert!(problems[0].contains("dynamodb:table"), "{problems:?}");
        }
    }
}
