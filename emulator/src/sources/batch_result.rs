//! Interprets a function's response to a batch.

use serde_json::Value;

use super::stream::Record;
use crate::lambda::InvokeError;

/// The result of an invocation with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchResult {
    /// All records are done.
    Done,
    /// The records before this index are done, the others failed.
    FailedFrom(usize),
    /// The function failed.
    Failed,
    /// The function was not invoked.
    NotReached,
}

/// Returns the result of an invocation with `batch`. `reports_failures`: whether the function returns partial batch responses.
pub(super) fn batch_result(
    response: &Result<bytes::Bytes, InvokeError>,
    batch: &[Record],
    reports_failures: bool,
) -> BatchResult {
    match response {
        Ok(response) if reports_failures => partial_batch_response(response, batch),
        Ok(_) => BatchResult::Done,
        // A retry with the same event fails too, so it is counted.
        Err(InvokeError::TooLarge { .. }) => BatchResult::Failed,
        Err(error) if error.has_reached_function() => BatchResult::Failed,
        Err(_) => BatchResult::NotReached,
    }
}

fn partial_batch_response(response: &[u8], batch: &[Record]) -> BatchResult {
    if response.trim_ascii().is_empty() {
        return BatchResult::Done;
    }
    let failures = match serde_json::from_slice(response) {
        Ok(Value::Null) => return BatchResult::Done,
        Ok(Value::String(text)) if text.is_empty() => return BatchResult::Done,
        Ok(Value::Object(mut response)) => match response.remove("batchItemFailures") {
            None | Some(Value::Null) => return BatchResult::Done,
            Some(Value::Array(failures)) => failures,
            Some(_) => return BatchResult::Failed,
        },
        Ok(_) | Err(_) => return BatchResult::Failed,
    };
    let mut first = batch.len();
    for failure in failures {
        let reported = failure.get("itemIdentifier").and_then(Value::as_str);
        let index = reported.and_then(|sequence| batch.iter().position(|record| record.sequence == sequence));
        match index {
            Some(index) => first = first.min(index),
            None => return BatchResult::Failed,
        }
    }
    if first == batch.len() { BatchResult::Done } else { BatchResult::FailedFrom(first) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::records;
    use super::*;
    use crate::lambda::FunctionError;

    fn result_of(response: &str) -> BatchResult {
        batch_result(&Ok(response.to_owned().into()), &records(4), true)
    }

    #[test]
    fn an_empty_response_or_list_is_a_success() {
        for response in [
            "",
            " ",
            "null",
            r#""""#,
            "{}",
            r#"{"batchItemFailures": []}"#,
            r#"{"batchItemFailures": null}"#,
            r#"{"other": 1}"#,
        ] {
            assert_eq!(result_of(response), BatchResult::Done, "{response}");
        }
    }

    #[test]
    fn the_lowest_reported_record_is_the_checkpoint_in_any_order_of_the_report() {
        let response = r#"{"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "1"}, {"itemIdentifier": "2"}]}"#;
        assert_eq!(result_of(response), BatchResult::FailedFrom(1));
    }

    #[test]
    fn an_identifier_that_names_no_record_of_the_batch_fails_all_of_it() {
        for response in [
            r#"{"batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": ""}]}"#,
            r#"{"batchItemFailures": [{"itemIdentifier": null}]}"#,
            r#"{"batchItemFailures": [{"itemIdentifier": 1}]}"#,
            r#"{"batchItemFailures": [{"itemId": "1"}]}"#,
            r#"{"batchItemFailures": [{"itemIdentifier": "4"}]}"#,
            r#"{"batchItemFailures": ["1"]}"#,
            r#"{"batchItemFailures": {}}"#,
            "no json",
            r#""text""#,
            "[]",
        ] {
            assert_eq!(result_of(response), BatchResult::Failed, "{response}");
        }
    }

    #[test]
    fn without_partial_batch_responses_every_response_is_a_success() {
        let response = Ok(r#"{"batchItemFailures": [{"itemIdentifier": "1"}]}"#.into());
        assert_eq!(batch_result(&response, &records(4), false), BatchResult::Done);
    }

    #[test]
    fn only_invocations_of_the_function_are_counted_as_failures() {
        let batch = records(1);
        let failed = InvokeError::Function(FunctionError::new("a", "b"));
        assert_eq!(batch_result(&Err(failed), &batch, true), BatchResult::Failed);
        assert_eq!(batch_result(&Err(InvokeError::TooLarge { bytes: 1 }), &batch, true), BatchResult::Failed);
        for error in [InvokeError::Throttled { function: "a".into() }, InvokeError::Stopped] {
            assert_eq!(batch_result(&Err(error), &batch, true), BatchResult::NotReached);
        }
    }
}
