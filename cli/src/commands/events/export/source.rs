//! The log that is exported: that of a data directory, or of a deployment on AWS.

use std::io;
use std::sync::Arc;

#[cfg(feature = "aws")]
use streamio_lambdas::operator::AwsOperator;
#[cfg(feature = "aws")]
use streamio_local::export::PartsError;
use streamio_local::export::{Destination, ExportError, ExportOptions, ExportSummary};
use streamio_local::operator::{Operator, OperatorError};
use streamio_local::progress::Progress;

#[cfg(feature = "aws")]
use super::aws::{self, Range};
use crate::commands::data_directory::failure;
use crate::commands::platform::Platform;
use crate::exit::{Exit, Failure};

/// What is exported.
pub(super) enum Source {
    Local(Box<Operator>, ExportOptions),
    #[cfg(feature = "aws")]
    Aws(Box<AwsOperator>, ExportOptions, Range),
}

/// Why the log was not exported.
pub(super) enum NotExported {
    /// What is in the file is not the beginning of the export; the message.
    OtherContent(String),
    /// It was stopped.
    Stopped,
    /// The output cannot be written.
    Write(io::Error),
    /// The log cannot be read, or is damaged.
    Failed(Failure),
}

impl From<OperatorError> for NotExported {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::Export(ExportError::OtherContent(_)) => Self::OtherContent(error.to_string()),
            OperatorError::Export(ExportError::Stopped) => Self::Stopped,
            OperatorError::Export(ExportError::Write(error)) => Self::Write(error),
            error => Self::Failed(failure(error)),
        }
    }
}

impl NotExported {
    /// The failure of an export to standard output.
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::OtherContent(message) => Failure::new(Exit::Failed, message, ""),
            Self::Stopped => Failure::new(Exit::Interrupted, "the export was interrupted", ""),
            Self::Write(error) => crate::output::unwritable(&error),
        }
    }
}

impl Source {
    /// The log of a platform. `resume`: the file may have the beginning of the export.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "one machine continues every export"))]
    pub(super) fn new(platform: Platform, options: ExportOptions, resume: bool) -> Result<Self, Failure> {
        Ok(match platform {
            Platform::Local(operator) => Self::Local(operator, options),
            #[cfg(feature = "aws")]
            Platform::Aws(operator) => {
                let range = Range::of(&options, resume)?;
                Self::Aws(operator, options, range)
            }
        })
    }

    /// Writes the log to `to`.
    pub(super) async fn export(
        &self,
        to: impl Destination + Send + 'static,
        progress: Arc<Progress>,
    ) -> Result<ExportSummary, NotExported> {
        match self {
            Self::Local(operator, options) => Ok(operator.export(options.clone(), to, progress).await?),
            #[cfg(feature = "aws")]
            Self::Aws(operator, options, range) => {
                let exported = aws::export(operator, options, *range, to, progress).await;
                exported.map_err(|error| match error {
                    PartsError::Part(error) => NotExported::Failed(crate::commands::aws::failure(error)),
                    PartsError::Export(error) => OperatorError::Export(error).into(),
                })
            }
        }
    }
}
