//! Replaying views, also while a platform runs.

use std::sync::Arc;

use super::error::OperatorError;
use super::handle::Operator;
use crate::progress::{Progress, StopOnDrop};
use crate::replay::{self, Options, ReplayError, Report};

impl Operator {
    /// Rebuilds a view beside the live one, compares them, and replaces what differs if the options say so. If this future is dropped, the
    /// replay is stopped.
    pub async fn replay(&self, options: Options, progress: Arc<Progress>) -> Result<Report, OperatorError> {
        let data_dir = self.data_dir.clone();
        let stop = StopOnDrop(Arc::clone(&progress));
        let replayed =
            tokio::task::spawn_blocking(move || replay::replay(&data_dir, &options, &progress)).await;
        drop(stop);
        Ok(replayed.unwrap_or(Err(ReplayError::Stopped))?)
    }
}
