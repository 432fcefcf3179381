//! Errors as text, with their causes.
//!
//! By convention the `Display` of an error leaves out its source, so a log line that prints only the outermost error loses
//! the reason.

use std::error::Error;

/// The messages of `error` and of its causes in one line, the outermost first, separated by `: `. A cause whose message the
/// text already ends with is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}

/// The messages of `error` and of its causes, the outermost first, for logs with structured fields.
pub fn messages(error: &dyn Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        messages.push(cause.to_string());
        source = cause.source();
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{message}")]
    struct Layer {
        message: &'static str,
        #[source]
        source: Option<Box<Layer>>,
    }

    fn layers(messages: &[&'static str]) -> Layer {
        let (message, causes) = messages.split_first().unwrap();
        let source = (!causes.is_empty()).then(|| Box::new(layers(causes)));
        Layer { message, source }
    }

    #[test]
    fn every_cause_is_named_once_from_the_outermost_to_the_innermost() {
        let error = layers(&["the append failed", "no response", "connection reset"]);
        assert_eq!(chain(&error), "the append failed: no response: connection reset");
        assert_eq!(messages(&error), ["the append failed", "no response", "connection reset"]);
        let repeated = layers(&["the append failed: no response", "no response", "connection reset"]);
        assert_eq!(chain(&repeated), "the append failed: no response: connection reset");
        assert_eq!(chain(&layers(&["alone"])), "alone");
    }
}
