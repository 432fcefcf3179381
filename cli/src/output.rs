//! Writes results to standard output, as text or as one JSON value, and everything else to standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::exit::{Exit, Failure};

/// The output options `--json` and `--quiet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Output {
    /// Whether results and errors are JSON.
    pub(crate) json: bool,
    /// Whether nothing but the result and errors is written.
    pub(crate) quiet: bool,
}

impl Output {
    /// Writes the command's result: with `--json` `value` as one line of JSON, otherwise `text`.
    pub(crate) fn result(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let output = if self.json {
            serde_json::to_string(value).map_err(|error| {
                Failure::new(Exit::Failed, format!("cannot write the result as JSON: {error}"), "")
            })?
        } else {
            text()
        };
        write_line(&output)
    }

    /// Writes a note to standard error, unless `--quiet` is given.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            write_note(text);
        }
    }

    /// `guidance` for the reader of a result; empty with `--quiet`.
    pub(crate) fn guidance(self, guidance: impl Into<String>) -> String {
        if self.quiet { String::new() } else { guidance.into() }
    }

    /// Writes a failure to standard error.
    pub(crate) fn failure(self, failure: &Failure) {
        let text = if self.json { failure.json().to_string() } else { failure.line() };
        write_note(&text);
    }
}

/// Writes a line to standard error. Best effort; errors are ignored.
pub(crate) fn write_note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a line to standard output and flushes it, so that a reader of a pipe gets it immediately. A closed pipe is not an error.
fn write_line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(&error)),
        _ => Ok(()),
    }
}

/// The failure for an error of writing to standard output.
pub(crate) fn unwritable(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write to standard output: {error}"), "")
}

/// Whether standard error is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// A table with aligned columns and no borders, so that other tools can process it.
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

/// `text` with control characters escaped, and with those that change the direction of the text. Names come from tenants and must neither
/// send control sequences to a terminal nor look like other names there.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            let is_escaped = character.is_control() || changes_direction(character);
            if is_escaped { character.escape_default().to_string() } else { character.to_string() }
        })
        .collect()
}

/// Whether a character changes the direction of the text after it: <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>.
fn changes_direction(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` quoted as one word for a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `Name: value` lines with aligned values. Leaves out fields without a value.
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

/// `bytes` in binary units, such as `1.50 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_have_no_trailing_spaces() {
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
    fn a_quoted_name_is_one_word_of_a_shell() {
        assert_eq!(quoted("a b.mp4"), "'a b.mp4'");
        assert_eq!(quoted("it's; rm -rf $HOME"), r"'it'\''s; rm -rf $HOME'");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("clip\u{1b}[2J\n.mp4 – ü"), "clip\\u{1b}[2J\\n.mp4 – ü");
        // Shown as `clip4pm.exe` otherwise.
        assert_eq!(printable("clip\u{202e}exe.mp4"), "clip\\u{202e}exe.mp4");
    }
}
