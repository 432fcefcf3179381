//! The attempts that are in progress, with the keys of their deliveries.

use std::collections::HashMap;

use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_core::webhooks::attempts::End;
use tokio::task::{Id, JoinError, JoinSet};

use super::Ended;

/// The attempts in progress.
#[derive(Default)]
pub(super) struct Running {
    tasks: JoinSet<Ended>,
    keys: HashMap<Id, DeliveryKey>,
}

impl Running {
    /// Starts an attempt.
    pub(super) fn start(&mut self, key: DeliveryKey, attempt: impl Future<Output = Ended> + Send + 'static) {
        let id = self.tasks.spawn(attempt).id();
        self.keys.insert(id, key);
    }

    /// The next attempt that ends; `None` if there is none in progress.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        loop {
            let ended = self.tasks.join_next_with_id().await?;
            if let Some(ended) = self.ended(ended) {
                return Some(ended);
            }
        }
    }

    /// An attempt that has ended already.
    pub(super) fn try_next(&mut self) -> Option<Ended> {
        let ended = self.tasks.try_join_next_with_id()?;
        self.ended(ended)
    }

    /// An attempt whose task ended by a fault of the code has an end, too: nobody knows how far it came.
    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) -> Option<Ended> {
        match ended {
            Ok((id, ended)) => {
                self.keys.remove(&id);
                Some(ended)
            }
            Err(error) => {
                let key = self.keys.remove(&error.id())?;
                tracing::error!(webhook.id = %key.webhook_id, message.id = %key.message_id, error = %error, "a webhook attempt ended abnormally; it is tried again");
                Some(Ended { key, end: End::Unknown, endpoints: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use streamio_events::id::{MessageId, WebhookId};

    use super::*;

    /// Also outside of the delivery itself: its places would be occupied until the next start.
    #[tokio::test]
    async fn an_attempt_whose_task_panics_ends() {
        let mut running = Running::default();
        let key = DeliveryKey {
            project_id: "project".parse().unwrap(),
            webhook_id: WebhookId::derived_from(&[b"endpoint"]),
            message_id: MessageId::derived_from(&["message"]),
        };
        running.start(key.clone(), async { panic!("a fault of the code") });
        let Ended { key: ended, end, endpoints } = running.next().await.unwrap();
        assert!((ended, end) == (key, End::Unknown) && endpoints.is_none());
        assert!(running.next().await.is_none() && running.keys.is_empty());
    }
}
