//! Exporting the log, also while a platform runs.

use std::sync::Arc;

use super::error::OperatorError;
use super::handle::Operator;
use crate::export::{self, Destination, ExportError, ExportOptions, ExportSummary};
use crate::progress::{Progress, StopOnDrop};

impl Operator {
    /// Writes the log, as it is at the beginning of the call, to `to`. If this future is dropped, the export is stopped.
    pub async fn export(
        &self,
        options: ExportOptions,
        mut to: impl Destination + Send + 'static,
        progress: Arc<Progress>,
    ) -> Result<ExportSummary, OperatorError> {
        let data_dir = self.data_dir.clone();
        let stop = StopOnDrop(Arc::clone(&progress));
        let exported =
            tokio::task::spawn_blocking(move || export::export(&data_dir, &options, &mut to, &progress))
                .await;
        drop(stop);
        Ok(exported.unwrap_or(Err(ExportError::Stopped))?)
    }
}
