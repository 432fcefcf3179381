//! The errors of the operator's actions.

use std::io;

use streamio_core::operator::ProjectError;
use streamio_core::ports::AdapterError;
use streamio_events::audit::Finding;
use streamio_events::event::UnreadableEvent;
use streamio_events::home::HomeError;
use streamio_events::log::ReadError;

use crate::adapters::invoke::InvokeError;

/// Why an operator's action failed.
#[derive(Debug, thiserror::Error)]
pub enum AwsOperatorError {
    /// No region is stated.
    #[error("there is no AWS region")]
    NoRegion,
    /// The account of the credentials is not known.
    #[error("AWS does not say whose account this is")]
    Caller(#[source] AdapterError),
    /// A command on a project failed.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A project's events are damaged or have a newer version.
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
    /// The hash chain of a stream is broken.
    #[error("the log was changed: {0}")]
    Chain(#[from] Finding),
    /// The table of the views is not available.
    #[error("the table of the views is not available")]
    Views(#[source] AdapterError),
    /// A function cannot be invoked.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// A function answered in another form: it is of an earlier release.
    #[error("the function {0} does not know this call; deploy the release of this command")]
    Answer(String),
    /// A call about webhooks was refused, or failed.
    #[error(transparent)]
    Webhooks(#[from] HomeError),
    /// A call about webhooks needs settings of the deployment.
    #[error("this is done through the API, with a key of the project")]
    ThroughApi,
    /// A result about webhooks cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The output cannot be written.
    #[error("the events cannot be written")]
    Write(#[from] io::Error),
}
