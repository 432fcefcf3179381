//! The worker's settings, read from its environment. All problems are reported together.

use std::path::PathBuf;

use streamio_events::job::Job;
use streamio_events::secret::Secret;
use streamio_events::settings::{InvalidSettings, Reader};
use url::Url;

/// The settings of one run of the worker.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The attempt to make. `STREAMIO_JOB`, JSON.
    pub job: Job,
    /// The event log. `STREAMIO_LOG`: `sqlite:/path/to/log.db` or `dynamodb:table`.
    pub log: LogLocation,
    /// The intake for progress events. `STREAMIO_INTAKE`: `kinesis:stream`; without it, they are appended to the event log.
    pub intake: Option<IntakeLocation>,
    /// Object storage.
    pub s3: S3Settings,
    /// The directory for temporary files. `STREAMIO_SCRATCH`.
    pub scratch: PathBuf,
    /// The worker's unique name in events.
    pub task: TaskName,
    /// The program `ffmpeg`. `STREAMIO_FFMPEG`, by default `ffmpeg`. Not a script: it could not be started in the sandbox.
    pub ffmpeg: String,
    /// The program `ffprobe`. `STREAMIO_FFPROBE`, by default `ffprobe`. Not a script either.
    pub ffprobe: String,
    /// Whether FFmpeg is isolated and limited. `STREAMIO_SANDBOX`, `on` or `off`, by default `on`. Off only for tests, and for an FFmpeg
    /// that has to be started by a script.
    pub sandbox: bool,
    /// Whether the worker stops at the end of its standard input, because its parent has died. `STREAMIO_PARENT_PIPE=1`.
    pub parent_pipe: bool,
}

/// The location of the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogLocation {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A table of DynamoDB. The AWS SDK finds region and credentials in its own environment.
    Dynamo {
        /// The table's name.
        table: String,
    },
}

/// The location of the intake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntakeLocation {
    /// A stream of Kinesis, with the region and credentials of the AWS SDK.
    Kinesis {
        /// The stream's name.
        stream_name: String,
    },
}

/// Where the worker's name is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskName {
    /// `STREAMIO_TASK`.
    Given(String),
    /// The ARN of its ECS task, from the task metadata endpoint at this URL. `ECS_CONTAINER_METADATA_URI_V4`, set by ECS.
    OfEcs(Url),
    /// Random.
    MadeUp,
}

/// The endpoint of object storage and how requests to it are signed.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// `STREAMIO_S3_ENDPOINT`; by default that of AWS.
    pub endpoint: Option<Url>,
    /// `STREAMIO_S3_REGION`, or else `AWS_REGION`.
    pub region: String,
    /// Whether the bucket is in the path instead of the host name. `STREAMIO_S3_PATH_STYLE`, `1` or `true`.
    pub path_style: bool,
    /// Without a key, the AWS SDK finds its own credentials: in an ECS task those of the task role.
    pub credentials: Option<AccessKey>,
}

/// An access key from the environment.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret,
    /// `AWS_SESSION_TOKEN`, for temporary credentials.
    pub session_token: Option<Secret>,
}

impl Settings {
    /// Reads the variables that `variable` returns by name.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        let mut reader = Reader::new(&variable);
        let settings = read(&mut reader);
        reader.finish(settings)
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Settings> {
    let job = reader.required_parsed("STREAMIO_JOB", |json| serde_json::from_str(json));
    let log = reader.required_parsed("STREAMIO_LOG", LogLocation::parse);
    let scratch = reader.required("STREAMIO_SCRATCH").map(PathBuf::from);
    let region = reader.optional("STREAMIO_S3_REGION").or_else(|| reader.optional("AWS_REGION"));
    if region.is_none() {
        reader.refuse("STREAMIO_S3_REGION", "is missing, and AWS_REGION too");
    }
    let intake = reader.parsed("STREAMIO_INTAKE", IntakeLocation::parse);
    let credentials = credentials(reader);
    let endpoint = reader.parsed("STREAMIO_S3_ENDPOINT", Url::parse);
    let path_style = reader.flag("STREAMIO_S3_PATH_STYLE");
    let metadata = reader.parsed("ECS_CONTAINER_METADATA_URI_V4", Url::parse);
    let task = match (reader.optional("STREAMIO_TASK"), metadata) {
        (Some(name), _) => TaskName::Given(name),
        (None, Some(metadata)) => TaskName::OfEcs(metadata),
        (None, None) => TaskName::MadeUp,
    };
    let sandbox = reader.choice("STREAMIO_SANDBOX", &[("on", true), ("off", false)]);
    let parent_pipe = reader.flag("STREAMIO_PARENT_PIPE");
    Some(Settings {
        job: job?,
        log: log?,
        intake,
        s3: S3Settings { endpoint, region: region?, path_style, credentials },
        scratch: scratch?,
        task,
        ffmpeg: reader.optional("STREAMIO_FFMPEG").unwrap_or_else(|| "ffmpeg".to_owned()),
        ffprobe: reader.optional("STREAMIO_FFPROBE").unwrap_or_else(|| "ffprobe".to_owned()),
        sandbox,
        parent_pipe,
    })
}

/// Half a key is a problem: the credentials that the SDK would find instead may be of another account.
fn credentials(reader: &mut Reader<'_>) -> Option<AccessKey> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    match (reader.optional(ID), reader.optional(SECRET)) {
        (Some(access_key_id), Some(secret)) => Some(AccessKey {
            access_key_id,
            secret_access_key: Secret::new(secret),
            session_token: reader.optional("AWS_SESSION_TOKEN").map(Secret::new),
        }),
        (None, None) => None,
        (Some(_), None) => {
            reader.refuse(SECRET, &format!("is missing, though {ID} is set"));
            None
        }
        (None, Some(_)) => {
            reader.refuse(ID, &format!("is missing, though {SECRET} is set"));
            None
        }
    }
}

impl LogLocation {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("dynamodb", table)) if !table.is_empty() => Ok(Self::Dynamo { table: table.to_owned() }),
            _ => Err("it has neither the form sqlite:/path/to/log.db nor the form dynamodb:table"),
        }
    }
}

impl IntakeLocation {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text.split_once(':') {
            Some(("kinesis", name)) if !name.is_empty() => Ok(Self::Kinesis { stream_name: name.to_owned() }),
            _ => Err("it does not have the form kinesis:stream"),
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

    /// The environment that ECS and the task definition set.
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
        let invalid = Settings::read(variable).unwrap_err();
        invalid.problems.into_iter().map(|(name, reason)| format!("{name} {reason}")).collect()
    }

    #[test]
    fn a_complete_environment_is_read_and_its_secrets_are_not_printed() {
        let settings = Settings::read(complete).unwrap();
        assert_eq!(settings.log, LogLocation::Sqlite(PathBuf::from("/data/log.db")));
        assert_eq!(settings.intake, None);
        assert_eq!(settings.task, TaskName::MadeUp);
        assert!(settings.s3.path_style && !settings.parent_pipe && settings.s3.credentials.is_some());
        assert!(settings.sandbox);
        let printed = format!("{settings:?}");
        assert!(!printed.contains("hidden"), "{printed}");
    }

    #[test]
    fn an_ecs_task_needs_few_variables() {
        let settings = Settings::read(on_ecs).unwrap();
        assert_eq!(settings.log, LogLocation::Dynamo { table: "streamio-ledger".to_owned() });
        assert_eq!(
            settings.intake,
            Some(IntakeLocation::Kinesis { stream_name: "streamio-facts".to_owned() })
        );
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
        let expected = [
            "STREAMIO_JOB is missing",
            "STREAMIO_LOG is missing",
            "STREAMIO_SCRATCH is missing",
            "STREAMIO_S3_REGION is missing, and AWS_REGION too",
        ];
        assert_eq!(problems(|_| None), expected);
        assert_eq!(problems(|_| Some(" ".to_owned())), expected, "blank is absent");
        let half = |name: &str| complete(name).filter(|_| name != "AWS_ACCESS_KEY_ID");
        assert_eq!(problems(half), ["AWS_ACCESS_KEY_ID is missing, though AWS_SECRET_ACCESS_KEY is set"]);
    }

    #[test]
    fn every_malformed_variable_is_reported_at_once() {
        let malformed = |name: &str| match name {
            "STREAMIO_JOB" => Some("{}".into()),
            "STREAMIO_LOG" => Some("postgres:x".into()),
            "STREAMIO_INTAKE" => Some("kinesis:".into()),
            "STREAMIO_S3_ENDPOINT" => Some("nowhere".into()),
            "ECS_CONTAINER_METADATA_URI_V4" => Some("/v4".into()),
            "STREAMIO_PARENT_PIPE" => Some("yes".into()),
            "STREAMIO_SANDBOX" => Some("maybe".into()),
            name => complete(name),
        };
        assert_eq!(problems(malformed).len(), 7);
        for log in ["sqlite:", "dynamodb:", "log.db"] {
            let problems = problems(|name| match name {
                "STREAMIO_LOG" => Some(log.to_owned()),
                name => complete(name),
            });
            assert!(problems[0].contains("dynamodb:table"), "{problems:?}");
        }
    }
}
