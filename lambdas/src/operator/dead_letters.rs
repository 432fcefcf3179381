//! Dead letters: reading them, and having their functions handle them again.

use serde_json::json;
use streamio_core::delivery::redrive::Redriven;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetterStore as _, DeadLetterSummary};

use super::deployment::AwsOperator;
use super::error::AwsOperatorError;

/// How many dead letters are read at a time.
const PAGE: usize = 1000;

impl AwsOperator {
    /// Returns all dead letters of a function.
    pub async fn dead_letters(
        &self,
        function: &'static str,
    ) -> Result<Vec<DeadLetterSummary>, AwsOperatorError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.views.list(function, after.as_deref(), PAGE).await;
            let page = page.map_err(AwsOperatorError::Views)?;
            all.extend(page.dead_letters);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Returns a dead letter; `None` if there is none.
    pub async fn dead_letter(
        &self,
        function: &'static str,
        id: &str,
    ) -> Result<Option<DeadLetter>, AwsOperatorError> {
        self.views.get(function, id).await.map_err(AwsOperatorError::Views)
    }

    /// Has the function handle a dead letter again, with its own settings and permissions. The caller needs `lambda:InvokeFunction`.
    pub async fn redrive(&self, function: &'static str, id: &str) -> Result<Redriven, AwsOperatorError> {
        let name = format!("{}{function}", self.deployment.function_prefix);
        let answer = self.invoker.invoke(&name, &json!({ "redrive": id })).await?;
        serde_json::from_value(answer).map_err(|_| AwsOperatorError::Answer(name))
    }
}
