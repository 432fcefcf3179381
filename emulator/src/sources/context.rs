//! The state that the tasks of a mapping share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::configuration::MappingConfig;
use super::progress::Progress;
use super::stream::StreamSource;
use crate::lambda::Invoke;

/// The configuration, the ports and the state of a mapping.
pub(super) struct Context {
    pub(super) config: MappingConfig,
    pub(super) source: Arc<dyn StreamSource>,
    pub(super) invoke: Arc<dyn Invoke>,
    pub(super) progress: Arc<Progress>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Context {
    /// Runs a task until it ends or the mapping stops.
    pub(super) fn spawn(context: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        context.tasks.spawn(context.stop.clone().run_until_cancelled_owned(task));
    }
}
