//! The question before something is removed that cannot be restored, or is changed on AWS.

use std::io::{self, IsTerminal as _, Write as _};

use crate::exit::{Exit, Failure};
use crate::output::is_terminal;

/// A change to ask about, and the words for it.
pub(super) struct Change<'a> {
    /// What is changed, such as the id of a video.
    pub(super) subject: &'a str,
    /// What is done to it, such as `delete`.
    pub(super) verb: &'a str,
    /// The participle of `verb`, such as `deleted`.
    pub(super) participle: &'a str,
    /// The whole question, with its question mark.
    pub(super) question: &'a str,
}

/// Asks on the terminal whether to do it, and fails unless the answer is yes. Without a terminal to ask on the answer is no.
pub(super) fn confirm(change: &Change<'_>) -> Result<(), Failure> {
    let Change { subject, verb, participle, question } = change;
    if !io::stdin().is_terminal() || !is_terminal() {
        return Err(Failure::usage(
            format!("{subject} was not {participle}: there is no terminal to ask for a confirmation"),
            format!("add --yes to {verb} it without a question"),
        ));
    }
    // If the question cannot be shown or answered, the answer is no.
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    if io::stdin().read_line(&mut line).is_ok() && matches!(line.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("{subject} was not {participle}"), "answer y, or use --yes"))
}
