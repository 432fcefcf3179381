//! Retries with exponential backoff.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::client::error::ClientError;

/// How often and how long to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryPolicy {
    /// For interactive calls: three retries within a few seconds.
    Brief,
    /// For calls whose failure would waste much work: retries for about two minutes, long enough for a server restart.
    Long,
}

impl RetryPolicy {
    fn schedule(self) -> ExponentialBuilder {
        let builder = ExponentialBuilder::default().with_jitter().with_factor(2.0);
        match self {
            Self::Brief => builder
                .with_min_delay(Duration::from_millis(200))
                .with_max_delay(Duration::from_secs(2))
                .with_max_times(3),
            Self::Long => builder
                .with_min_delay(Duration::from_millis(250))
                .with_max_delay(Duration::from_secs(15))
                .with_max_times(12),
        }
    }

    /// The longest `Retry-After` to wait for.
    fn max_wait(self) -> Duration {
        match self {
            Self::Brief => Duration::from_secs(15),
            Self::Long => Duration::from_mins(2),
        }
    }

    /// The wait before the next retry: the longer of the server's `Retry-After` and `planned`. `None` ends the retries, either
    /// because there are none left or because `retry_after` is longer than the policy allows.
    fn wait(self, retry_after: Option<Duration>, planned: Option<Duration>) -> Option<Duration> {
        let planned = planned?;
        match retry_after {
            Some(retry_after) if retry_after > self.max_wait() => None,
            Some(retry_after) => Some(retry_after.max(planned)),
            None => Some(planned),
        }
    }
}

/// Calls `call` until it succeeds, fails permanently, or the policy ends the retries. Calls `notify` before every wait.
pub(crate) async fn with_retries<T, Call>(
    policy: RetryPolicy,
    notify: impl FnMut(&ClientError, Duration),
    call: impl FnMut() -> Call,
) -> Result<T, ClientError>
where
    Call: Future<Output = Result<T, ClientError>>,
{
    call.retry(policy.schedule())
        .when(ClientError::is_transient)
        .notify(notify)
        .adjust(|error, planned| policy.wait(error.retry_after(), planned))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn retry_after_is_honoured_up_to_a_maximum() {
        assert_eq!(RetryPolicy::Brief.wait(Some(5 * SECOND), Some(SECOND)), Some(5 * SECOND));
        assert_eq!(RetryPolicy::Brief.wait(Some(SECOND), Some(2 * SECOND)), Some(2 * SECOND));
        assert_eq!(RetryPolicy::Brief.wait(Some(60 * SECOND), Some(SECOND)), None);
        assert_eq!(RetryPolicy::Long.wait(Some(60 * SECOND), Some(SECOND)), Some(60 * SECOND));
    }

    #[test]
    fn retries_end_even_if_the_server_sends_retry_after() {
        assert_eq!(RetryPolicy::Long.wait(Some(SECOND), None), None);
    }
}
