//! What a function's answer says about its batch.

use serde_json::Value;

use super::stream::Record;
use crate::lambda::InvokeError;

/// How a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of it is done.
    Done,
    /// What is before this index is done, the rest is not.
    FailedFrom(usize),
    /// All of it is to be done again.
    Failed,
    /// The function was not invoked.
    NotReached,
}

/// The verdict on an invocation with `batch`.
pub(super) fn verdict(
    answer: &Result<bytes::Bytes, InvokeError>,
    batch: &[Record],
    reports_failures: bool,
) -> Verdict {
    match answer {
        Ok(answer) if reports_failures => reported(answer, batch),
        Ok(_) => Verdict::Done,
        // The same event would be refused for ever, so it uses up its tries.
        Err(InvokeError::TooLarge { .. }) => Verdict::Failed,
        Err(error) if error.has_reached_function() => Verdict::Failed,
        Err(_) => Verdict::NotReached,
    }
}

fn reported(answer: &[u8], batch: &[Record]) -> Verdict {
    if answer.trim_ascii().is_empty() {
        return Verdict::Done;
    }
    let failures = match serde_json::from_slice(answer) {
        Ok(Value::Null) => return Verdict::Done,
        Ok(Value::String(text)) if text.is_empty() => return Verdict::Done,
        Ok(Value::Object(mut answer)) => match answer.remove("batchItemFailures") {
            None | Some(Value::Null) => return Verdict::Done,
            Some(Value::Array(failures)) => failures,
            Some(_) => return Verdict::Failed,
        },
        Ok(_) | Err(_) => return Verdict::Failed,
    };
    let mut first = batch.len();
    for failure in failures {
        let reported = failure.get("itemIdentifier").and_then(Value::as_str);
        let index = reported.and_then(|sequence| batch.iter().position(|record| record.sequence == sequence));
        match index {
            Some(index) => first = first.min(index),
            None => return Verdict::Failed,
        }
    }
    if first == batch.len() { Verdict::Done } else { Verdict::FailedFrom(first) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::records;
    use super::*;
    use crate::lambda::FunctionError;

    fn of(answer: &str) -> Verdict {
        verdict(&Ok(answer.to_owned().into()), &records(4), true)
    }

    #[test]
    fn an_empty_answer_or_list_is_a_success() {
        for answer in [
            "",
            " ",
            "null",
            r#""""#,
            "{}",
            r#"{"batchItemFailures": []}"#,
            r#"{"batchItemFailures": null}"#,
            r#"{"other": 1}"#,
        ] {
            assert_eq!(of(answer), Verdict::Done, "{answer}");
        }
    }

    #[test]
    fn the_lowest_reported_record_is_the_checkpoint_in_whatever_order_it_is_reported() {
        let answer = r#"{"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "1"}, {"itemIdentifier": "2"}]}"#;
        assert_eq!(of(answer), Verdict::FailedFrom(1));
    }

    #[test]
    fn an_identifier_that_names_no_record_of_the_batch_fails_all_of_it() {
        for answer in [
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
            assert_eq!(of(answer), Verdict::Failed, "{answer}");
        }
    }

    #[test]
    fn without_partial_answers_every_answer_is_a_success() {
        let answer = Ok(r#"{"batchItemFailures": [{"itemIdentifier": "1"}]}"#.into());
        assert_eq!(verdict(&answer, &records(4), false), Verdict::Done);
    }

    #[test]
    fn only_what_came_to_the_function_counts_as_a_try() {
        let batch = records(1);
        let failed = InvokeError::Function(FunctionError::new("a", "b"));
        assert_eq!(verdict(&Err(failed), &batch, true), Verdict::Failed);
        assert_eq!(verdict(&Err(InvokeError::TooLarge { bytes: 1 }), &batch, true), Verdict::Failed);
        for error in [InvokeError::Throttled { function: "a".into() }, InvokeError::Stopped] {
            assert_eq!(verdict(&Err(error), &batch, true), Verdict::NotReached);
        }
    }
}
