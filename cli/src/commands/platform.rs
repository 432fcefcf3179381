//! The platform that an operator's command reads or changes: a data directory, or a deployment on AWS.

use streamio_events::id::{KeyId, ProjectId};
use streamio_events::project::{Project, ProjectChanges};
#[cfg(feature = "aws")]
use streamio_lambdas::operator::AwsOperator;
use streamio_local::operator::{
    DeadLetter, DeadLetterSummary, IfMissing, NewApiKey, NewKeyOptions, Operator, Redriven,
};

#[cfg(feature = "aws")]
use super::aws;
use super::confirm::Change;
#[cfg(feature = "aws")]
use super::confirm::confirm;
use super::data_directory;
use crate::args::{Approval, Target};
use crate::exit::Failure;
use crate::output::Output;

/// An open platform.
pub(super) enum Platform {
    Local(Box<Operator>),
    #[cfg(feature = "aws")]
    Aws(Box<AwsOperator>),
}

/// Calls the same method of either operator, and maps its errors to failures.
macro_rules! either {
    ($platform:expr, $operator:ident => $call:expr) => {
        match $platform {
            Platform::Local($operator) => $call.await.map_err(data_directory::failure),
            #[cfg(feature = "aws")]
            Platform::Aws($operator) => $call.await.map_err(aws::failure),
        }
    };
}

impl Platform {
    /// Opens the platform that the arguments name.
    pub(super) async fn open(target: &Target, if_missing: IfMissing) -> Result<Self, Failure> {
        #[cfg(feature = "aws")]
        if target.aws.aws {
            return aws::open(&target.aws.place).await.map(Box::new).map(Self::Aws);
        }
        data_directory::open(&target.data, if_missing).map(Box::new).map(Self::Local)
    }

    /// Whether it is a data directory of this machine.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// States on AWS what is about to be changed where, and asks unless `approval` is given. Changes of a data directory need none.
    pub(super) fn approve(
        &self,
        approval: &Approval,
        change: &Change<'_>,
        output: Output,
    ) -> Result<(), Failure> {
        match self {
            Self::Local(_) => Ok(()),
            #[cfg(feature = "aws")]
            Self::Aws(operator) if approval.yes => {
                output.note(&aws::place(operator));
                Ok(())
            }
            #[cfg(feature = "aws")]
            Self::Aws(operator) => {
                // Also with --quiet: without it, nobody could answer the question.
                crate::output::write_note(&aws::place(operator));
                confirm(change)
            }
        }
    }

    pub(super) async fn create_project(
        &self,
        id: &ProjectId,
        name: Option<String>,
    ) -> Result<NewApiKey, Failure> {
        either!(self, operator => operator.create_project(id, name))
    }

    pub(super) async fn create_key(
        &self,
        id: &ProjectId,
        options: &NewKeyOptions,
    ) -> Result<NewApiKey, Failure> {
        either!(self, operator => operator.create_key(id, options))
    }

    pub(super) async fn revoke_key(
        &self,
        id: &ProjectId,
        key_id: &KeyId,
        reason: Option<&str>,
    ) -> Result<Project, Failure> {
        either!(self, operator => operator.revoke_key(id, key_id, reason))
    }

    pub(super) async fn update(&self, id: &ProjectId, changes: &ProjectChanges) -> Result<Project, Failure> {
        either!(self, operator => operator.update(id, changes))
    }

    pub(super) async fn suspend(&self, id: &ProjectId, reason: Option<&str>) -> Result<Project, Failure> {
        either!(self, operator => operator.suspend(id, reason))
    }

    pub(super) async fn resume(&self, id: &ProjectId) -> Result<Project, Failure> {
        either!(self, operator => operator.resume(id))
    }

    pub(super) async fn project(&self, id: &ProjectId) -> Result<Project, Failure> {
        either!(self, operator => operator.project(id))
    }

    pub(super) async fn projects(&self) -> Result<Vec<Project>, Failure> {
        either!(self, operator => operator.projects())
    }

    pub(super) async fn dead_letters(
        &self,
        function: &'static str,
    ) -> Result<Vec<DeadLetterSummary>, Failure> {
        either!(self, operator => operator.dead_letters(function))
    }

    pub(super) async fn dead_letter(
        &self,
        function: &'static str,
        id: &str,
    ) -> Result<Option<DeadLetter>, Failure> {
        either!(self, operator => operator.dead_letter(function, id))
    }

    pub(super) async fn redrive(&self, function: &'static str, id: &str) -> Result<Redriven, Failure> {
        either!(self, operator => operator.redrive(function, id))
    }
}
