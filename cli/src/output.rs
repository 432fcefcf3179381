//! Where a command's answer goes: one JSON value or text for people on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::exit::{Exit, Failure};

/// What `--json` and `--quiet` change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Output {
    /// Whether programs read the answer.
    pub(crate) json: bool,
    /// Whether nothing but errors is wanted on standard error.
    pub(crate) quiet: bool,
}

impl Output {
    /// Writes `value` as one line of JSON with `--json`, otherwise the text that `human` makes.
    pub(crate) fn answer(
        self,
        value: &impl Serialize,
        human: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = if self.json {
            serde_json::to_string(value).map_err(|error| {
                Failure::new(Exit::Failed, format!("the answer cannot be written as JSON: {error}"), "")
            })?
        } else {
            human()
        };
        line(&text)
    }

    /// A remark for people on standard error.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            remark(text);
        }
    }

    /// Writes why the command failed to standard error.
    pub(crate) fn fail(self, failure: &Failure) {
        let text = if self.json { failure.json().to_string() } else { failure.line() };
        remark(&text);
    }
}

/// One line on standard error. Where that is closed, nobody wants to know.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// One line on standard output, flushed, so that whoever reads a pipe has it at once. Who has closed the pipe has seen
/// enough.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(&error)),
        _ => Ok(()),
    }
}

/// The failure of writing to standard output.
pub(crate) fn unwritable(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("standard output cannot be written: {error}"), "")
}

/// Whether a person watches standard error.
pub(crate) fn watched() -> bool {
    io::stderr().is_terminal()
}

/// A table with aligned columns and no frames, so that it can be cut with other tools.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// `text` with control characters made visible: names come from tenants and must not move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// `text` as one word of a shell's command line.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `Name: value` lines with the values in one column.
pub(crate) fn fields(fields: &[(&str, Option<String>)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    fields
        .iter()
        .filter_map(|(name, value)| {
            let label = format!("{name}:");
            value.as_ref().map(|value| format!("{label:<width$} {}", printable(value)))
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// `bytes` for people, in powers of 1,024.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_carry_no_trailing_blanks() {
        let rows = [["a".to_owned(), "ready".to_owned()], ["a longer name".to_owned(), String::new()]];
        insta::assert_snapshot!(table(["NAME", "STATE"], rows), @r"
        NAME           STATE
        a              ready
        a longer name
        ");
    }

    #[test]
    fn absent_fields_are_left_out() {
        let text = fields(&[
            ("Video", Some("vid".to_owned())),
            ("Duration", Some("5 s".to_owned())),
            ("Error", None),
        ]);
        insta::assert_snapshot!(text, @r"
        Video:    vid
        Duration: 5 s
        ");
    }

    #[test]
    fn a_quoted_name_is_one_word_whatever_it_holds() {
        assert_eq!(quoted("a b.mp4"), "'a b.mp4'");
        assert_eq!(quoted("it's; rm -rf $HOME"), r"'it'\''s; rm -rf $HOME'");
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(printable("clip\u{1b}[2J\n.mp4 – ü"), "clip\\u{1b}[2J\\n.mp4 – ü");
    }
}
