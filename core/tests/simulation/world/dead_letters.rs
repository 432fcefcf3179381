//! Dead letters, in the table of views.

use async_trait::async_trait;
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetters};

use super::ViewClient;
use crate::faults::Fault;

#[async_trait]
impl DeadLetters for ViewClient {
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError> {
        self.reach().await?;
        if self.actor.meets(Fault::DeadLettersUnavailable) {
            return Err("dead letters cannot be stored".into());
        }
        let now = self.actor.engine.now();
        {
            let mut state = self.world.state();
            state.trace(now, || {
                format!(
                    "dead letter of {}: {} ({})",
                    dead_letter.function, dead_letter.id, dead_letter.reason
                )
            });
            state.oracle.dead_letter_stored(&dead_letter);
            state.dead_letters.insert((dead_letter.function, dead_letter.id.clone()), dead_letter);
        }
        self.responds().await
    }
}
