//! Where a deployment on AWS is: from the command line, else from the environment, else from a file, else the default.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use streamio_events::settings::present;
use streamio_lambdas::operator::Deployment;

use crate::args::AWS_HEADING;
use crate::exit::{Exit, Failure};

/// The file with the settings, if it exists in the current directory.
const DEFAULT_FILE: &str = "streamio.toml";
/// The variable that names another file.
const FILE_VARIABLE: &str = "STREAMIO_CONFIG";
/// The default names of the tables.
const LEDGER_TABLE: &str = "streamio-ledger";
const VIEWS_TABLE: &str = "streamio-views";
/// What the names of the functions begin with by default.
const FUNCTION_PREFIX: &str = "streamio-";

/// Which deployment to operate.
#[derive(Debug, Args)]
#[command(next_help_heading = AWS_HEADING)]
pub(crate) struct AwsArguments {
    /// Operate the deployment on AWS instead of a data directory, with the AWS credentials of the environment
    #[arg(long, conflicts_with = "path")]
    pub(crate) aws: bool,
    #[command(flatten)]
    pub(crate) place: AwsPlace,
}

/// Where the deployment is. Each is for --aws.
#[derive(Debug, Args)]
#[command(next_help_heading = AWS_HEADING)]
pub(crate) struct AwsPlace {
    #[arg(
        long,
        value_name = "FILE",
        requires = "aws",
        help = "File with the settings of the deployment (default: the variable STREAMIO_CONFIG, or streamio.toml if it exists)"
    )]
    config: Option<PathBuf>,
    #[arg(
        long,
        value_name = "REGION",
        requires = "aws",
        help = "The AWS region (default: the variable AWS_REGION, or that of the file or profile)"
    )]
    region: Option<String>,
    #[arg(
        long,
        value_name = "NAME",
        requires = "aws",
        help = "The profile in the files of the AWS command line (default: the variable AWS_PROFILE, or that of the file)"
    )]
    profile: Option<String>,
    #[arg(
        long,
        value_name = "NAME",
        requires = "aws",
        help = "The table of the event log (default: the variable STREAMIO_LEDGER_TABLE, or that of the file, or streamio-ledger)"
    )]
    ledger_table: Option<String>,
    #[arg(
        long,
        value_name = "NAME",
        requires = "aws",
        help = "The table of the views (default: the variable STREAMIO_VIEWS_TABLE, or that of the file, or streamio-views)"
    )]
    views_table: Option<String>,
}

/// The deployment, and which account it must be in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AwsSettings {
    pub(crate) deployment: Deployment,
    /// The only account to operate in; `None`: any.
    pub(crate) account: Option<String>,
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default)]
    aws: AwsTable,
}

/// Its table `aws`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AwsTable {
    account: Option<String>,
    region: Option<String>,
    profile: Option<String>,
    ledger_table: Option<String>,
    views_table: Option<String>,
    function_prefix: Option<String>,
}

impl AwsPlace {
    /// Returns the settings, with the environment and the files of this process.
    pub(crate) fn settings(&self) -> Result<AwsSettings, Failure> {
        let variable = |name: &str| std::env::var(name).ok().and_then(present);
        let file = match self.config.clone().or_else(|| variable(FILE_VARIABLE).map(PathBuf::from)) {
            Some(path) => read(&path)?,
            None if Path::new(DEFAULT_FILE).exists() => read(Path::new(DEFAULT_FILE))?,
            None => AwsTable::default(),
        };
        self.resolve(&variable, file)
    }

    fn resolve(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        file: AwsTable,
    ) -> Result<AwsSettings, Failure> {
        let first = |argument: &Option<String>, name: &str, of_file: Option<String>| {
            argument.clone().or_else(|| variable(name)).or(of_file)
        };
        let function_prefix = first(&None, "STREAMIO_FUNCTION_PREFIX", file.function_prefix);
        let function_prefix = function_prefix.unwrap_or_else(|| FUNCTION_PREFIX.to_owned());
        // It becomes a part of an address.
        if !function_prefix.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_')) {
            return Err(Failure::usage(
                format!("`{function_prefix}` cannot be the beginning of a function's name"),
                "function_prefix has letters, digits, - and _",
            ));
        }
        // A variable of the SDK that is set is left to the SDK, which knows its precedence.
        let of_sdk = |argument: &Option<String>, names: &[&str], of_file: Option<String>| {
            let is_set = names.iter().any(|name| variable(name).is_some());
            argument.clone().or_else(|| of_file.filter(|_| !is_set))
        };
        let deployment = Deployment {
            region: of_sdk(&self.region, &["AWS_REGION", "AWS_DEFAULT_REGION"], file.region),
            profile: of_sdk(&self.profile, &["AWS_PROFILE", "AWS_ACCESS_KEY_ID"], file.profile),
            ledger_table: first(&self.ledger_table, "STREAMIO_LEDGER_TABLE", file.ledger_table)
                .unwrap_or_else(|| LEDGER_TABLE.to_owned()),
            views_table: first(&self.views_table, "STREAMIO_VIEWS_TABLE", file.views_table)
                .unwrap_or_else(|| VIEWS_TABLE.to_owned()),
            function_prefix,
            lambda_endpoint: variable("AWS_ENDPOINT_URL_LAMBDA").or_else(|| variable("AWS_ENDPOINT_URL")),
        };
        Ok(AwsSettings { deployment, account: file.account })
    }
}

fn read(path: &Path) -> Result<AwsTable, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::new(Exit::NotFound, message, "name an existing file with --config")
            }
            _ => Failure::usage(message, "name a readable text file with --config"),
        }
    })?;
    let file: ConfigFile = toml::from_str(&text).map_err(|error| {
        Failure::usage(
            format!("{} is invalid: {}", path.display(), error.to_string().trim_end().replace('\n', " ")),
            "see docs/aws.md for its form",
        )
    })?;
    Ok(file.aws)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 2] = ["STREAMIO_LEDGER_TABLE", "STREAMIO_VIEWS_TABLE"];

    fn arguments(ledger_table: Option<String>, views_table: Option<String>) -> AwsPlace {
        AwsPlace { config: None, region: None, profile: None, ledger_table, views_table }
    }

    proptest! {
        /// The command line wins, then the environment, then the file, then the default, for each table by itself.
        #[test]
        fn the_first_source_that_names_a_table_wins(
            stated in prop::array::uniform2(prop::array::uniform3(prop::option::of("[a-z]{3,9}")))
        ) {
            let [[ledger, ledger_variable, ledger_file], [views, views_variable, views_file]] = stated.clone();
            let variable = |name: &str| match name {
                name if name == NAMES[0] => ledger_variable.clone(),
                name if name == NAMES[1] => views_variable.clone(),
                _ => None,
            };
            let file = AwsTable { ledger_table: ledger_file, views_table: views_file, ..AwsTable::default() };
            let settings = arguments(ledger, views).resolve(&variable, file).unwrap();
            let first = |sources: &[Option<String>; 3], default: &str| {
                sources.iter().flatten().next().cloned().unwrap_or_else(|| default.to_owned())
            };
            prop_assert_eq!(settings.deployment.ledger_table, first(&stated[0], LEDGER_TABLE));
            prop_assert_eq!(settings.deployment.views_table, first(&stated[1], VIEWS_TABLE));
        }
    }

    #[test]
    fn the_region_and_the_profile_of_the_file_yield_to_those_of_the_environment() {
        let table = || AwsTable {
            region: Some("eu-west-1".to_owned()),
            profile: Some("production".to_owned()),
            ..AwsTable::default()
        };
        let of_file = arguments(None, None).resolve(&|_| None, table()).unwrap().deployment;
        assert_eq!(
            (of_file.region.as_deref(), of_file.profile.as_deref()),
            (Some("eu-west-1"), Some("production"))
        );
        let set = |name: &str| Some(name.to_owned());
        let of_sdk = arguments(None, None).resolve(&set, table()).unwrap().deployment;
        assert_eq!((of_sdk.region, of_sdk.profile), (None, None), "the SDK reads them itself");
    }

    #[test]
    fn a_file_with_an_unknown_or_malformed_field_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("streamio.toml");
        for (text, expected) in [
            ("[aws]\nledger = \"x\"\n", "unknown field `ledger`"),
            ("[aws]\naccount = 111122223333\n", "invalid type"),
            ("[aws", "TOML parse error"),
        ] {
            std::fs::write(&path, text).unwrap();
            let failure = read(&path).unwrap_err();
            assert!(failure.exit == Exit::Usage && failure.message.contains(expected), "{failure:?}");
        }
        std::fs::write(&path, "[aws]\naccount = \"111122223333\"\nfunction_prefix = \"a/b\"\n").unwrap();
        let refused = arguments(None, None).resolve(&|_| None, read(&path).unwrap()).unwrap_err();
        assert!(refused.message.contains("a/b"), "{refused:?}");
        assert_eq!(read(&directory.path().join("missing")).unwrap_err().exit, Exit::NotFound);
    }
}
