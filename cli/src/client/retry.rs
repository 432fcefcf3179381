//! When and how long to wait before a call is tried again.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::client::error::ClientError;

/// How long a caller is willing to wait for a server that does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A person waits for an answer: three more tries within some seconds.
    Brief,
    /// Much work would be lost: tries for about two minutes, which outlasts a restart.
    Long,
}

impl Patience {
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

    /// The longest `Retry-After` that is waited for.
    fn longest_wait(self) -> Duration {
        match self {
            Self::Brief => Duration::from_secs(15),
            Self::Long => Duration::from_mins(2),
        }
    }

    /// The wait before the next try: what the server asks for, if that is longer than `planned`; none when the tries are
    /// spent, or when the server asks for more than this patience has.
    fn wait(self, asked: Option<Duration>, planned: Option<Duration>) -> Option<Duration> {
        let planned = planned?;
        match asked {
            Some(asked) if asked > self.longest_wait() => None,
            Some(asked) => Some(asked.max(planned)),
            None => Some(planned),
        }
    }
}

/// Does `call` until it succeeds, fails for good, or patience ends. `notice` hears of every wait.
pub(crate) async fn retrying<T, Call>(
    patience: Patience,
    notice: impl FnMut(&ClientError, Duration),
    call: impl FnMut() -> Call,
) -> Result<T, ClientError>
where
    Call: Future<Output = Result<T, ClientError>>,
{
    call.retry(patience.schedule())
        .when(ClientError::is_transient)
        .notify(notice)
        .adjust(|error, planned| patience.wait(error.retry_after(), planned))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_servers_wish_is_honoured_up_to_a_bound() {
        assert_eq!(Patience::Brief.wait(Some(5 * SECOND), Some(SECOND)), Some(5 * SECOND));
        assert_eq!(Patience::Brief.wait(Some(SECOND), Some(2 * SECOND)), Some(2 * SECOND));
        assert_eq!(Patience::Brief.wait(Some(60 * SECOND), Some(SECOND)), None);
        assert_eq!(Patience::Long.wait(Some(60 * SECOND), Some(SECOND)), Some(60 * SECOND));
    }

    #[test]
    fn spent_tries_end_whatever_the_server_asks_for() {
        assert_eq!(Patience::Long.wait(Some(SECOND), None), None);
    }
}
