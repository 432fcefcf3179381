//! Reads the settings of a program from named variables, and reports all mistakes together.
//!
//! Each program declares its variables with a [`Reader`] and passes the source of their values: the environment of the
//! process, or the bindings of a Cloudflare Worker. Rules that hold for all of them:
//!
//! - A blank variable (empty or only white space) counts as absent.
//! - A value is used as it is. Only numbers, flags, choices and the items of lists are trimmed.
//! - A problem names its variable and never repeats a value, which may be a secret.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::digits;

/// The settings cannot be used. Names every problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSettings {
    /// The name of each variable and what is wrong with it, such as `is missing`.
    pub problems: Vec<(&'static str, String)>,
}

impl InvalidSettings {
    /// The single problem `reason` of the variable `name`.
    #[cold]
    pub fn of(name: &'static str, reason: impl fmt::Display) -> Self {
        Self { problems: vec![(name, reason.to_string())] }
    }
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the settings are invalid")?;
        for (index, (name, reason)) in self.problems.iter().enumerate() {
            write!(formatter, "{} {name} {reason}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidSettings {}

/// `text`, or `None` if it is blank.
pub fn present(text: String) -> Option<String> {
    (!text.trim().is_empty()).then_some(text)
}

/// Reads variables and collects what is wrong with them.
///
/// A method that returns `None` for a required or malformed variable has recorded the problem. Read all variables before the
/// first `?`, so that all problems are reported.
pub struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<(&'static str, String)>,
}

impl<'a> Reader<'a> {
    /// A reader of the variables that `variable` returns by name.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable, problems: Vec::new() }
    }

    /// The value of an optional variable.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).and_then(present)
    }

    /// The value of a required variable.
    pub fn required(&mut self, name: &'static str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.refuse(name, "is missing");
        }
        value
    }

    /// The value of an optional variable as `parse` reads it.
    pub fn parsed<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.optional(name)?;
        self.check(name, parse(&text))
    }

    /// The value of a required variable as `parse` reads it.
    pub fn required_parsed<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.required(name)?;
        self.check(name, parse(&text))
    }

    /// The value of `result`; records its error as a problem of the variable `name`. The error must not repeat the value.
    pub fn check<T, E: fmt::Display>(&mut self, name: &'static str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.refuse(name, &format!("cannot be read: {error}"))).ok()
    }

    /// An optional whole number.
    pub fn number<T: FromStr>(&mut self, name: &'static str) -> Option<T> {
        let text = self.optional(name)?;
        let number = digits::number(text.trim());
        if number.is_none() {
            self.refuse(name, "must be a whole number");
        }
        number
    }

    /// An optional duration in whole seconds.
    pub fn seconds(&mut self, name: &'static str) -> Option<Duration> {
        let text = self.optional(name)?;
        let seconds = digits::number(text.trim());
        if seconds.is_none() {
            self.refuse(name, "must be a whole number of seconds");
        }
        seconds.map(Duration::from_secs)
    }

    /// Whether an optional flag is set: `1` or `true`, against `0`, `false` or nothing.
    pub fn flag(&mut self, name: &'static str) -> bool {
        match self.optional(name).as_deref().map(str::trim) {
            Some("1" | "true") => true,
            None | Some("0" | "false") => false,
            Some(_) => {
                self.refuse(name, "must be 1 or 0");
                false
            }
        }
    }

    /// The value of the word that an optional variable names. The first choice is the default.
    pub fn choice<T: Copy, const N: usize>(&mut self, name: &'static str, choices: &[(&str, T); N]) -> T {
        choices[self.chosen(name, &choices.each_ref().map(|(word, _)| *word))].1
    }

    // Not generic, to keep the code of `choice` small: a Worker compiles it when an isolate starts.
    fn chosen(&mut self, name: &'static str, words: &[&str]) -> usize {
        let Some(text) = self.optional(name) else { return 0 };
        words.iter().position(|word| *word == text.trim()).unwrap_or_else(|| {
            self.refuse(name, &format!("must be one of: {}", words.join(", ")));
            0
        })
    }

    /// The items of a required, comma-separated list. Blank items are left out; at least one must remain.
    pub fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        let items: Vec<String> = self
            .required(name)?
            .split(',')
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect();
        if items.is_empty() {
            self.refuse(name, "has no item");
            return None;
        }
        Some(items)
    }

    /// Records that the variable `name` has the problem `reason`. A problem that is recorded already is not repeated: two
    /// parts of a program may read the same variable.
    #[cold]
    pub fn refuse(&mut self, name: &'static str, reason: &str) {
        if !self.problems.iter().any(|(known, text)| *known == name && text == reason) {
            self.problems.push((name, reason.to_owned()));
        }
    }

    /// `settings`, unless a problem was recorded.
    pub fn finish<T>(self, settings: Option<T>) -> Result<T, InvalidSettings> {
        match settings {
            Some(settings) if self.problems.is_empty() => Ok(settings),
            _ => Err(InvalidSettings { problems: self.problems }),
        }
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").field("problems", &self.problems).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn variables(values: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
        let values: HashMap<String, String> =
            values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        move |name| values.get(name).cloned()
    }

    #[test]
    fn every_problem_is_reported_at_once_and_only_once() {
        let source = variables(&[
            ("NUMBER", "-1"),
            ("FLAG", "yes"),
            ("CHOICE", "c"),
            ("LIST", " , "),
            ("TIME", "soon"),
        ]);
        let mut reader = Reader::new(&source);
        reader.required("MISSING");
        reader.required("MISSING");
        reader.number::<u32>("NUMBER");
        reader.flag("FLAG");
        reader.choice("CHOICE", &[("a", 1), ("b", 2)]);
        reader.list("LIST");
        reader.seconds("TIME");
        reader.parsed("NUMBER", str::parse::<bool>);
        reader.required_parsed("ALSO_MISSING", str::parse::<bool>);
        let expected = [
            ("MISSING", "is missing"),
            ("NUMBER", "must be a whole number"),
            ("FLAG", "must be 1 or 0"),
            ("CHOICE", "must be one of: a, b"),
            ("LIST", "has no item"),
            ("TIME", "must be a whole number of seconds"),
            ("NUMBER", "cannot be read: provided string was not `true` or `false`"),
            ("ALSO_MISSING", "is missing"),
        ];
        let expected = expected.map(|(name, reason)| (name, reason.to_owned()));
        assert_eq!(reader.finish(Some(())).unwrap_err().problems, expected);
    }

    #[test]
    fn a_blank_variable_is_absent_for_every_kind_of_setting() {
        for blank in ["", " ", "\t\n"] {
            let source = variables(&[("BLANK", blank)]);
            let mut reader = Reader::new(&source);
            assert_eq!(reader.optional("BLANK"), None);
            assert_eq!(reader.number::<u32>("BLANK"), None);
            assert_eq!(reader.seconds("BLANK"), None);
            assert_eq!(reader.parsed("BLANK", str::parse::<u8>), None);
            assert!(!reader.flag("BLANK"));
            assert_eq!(reader.choice("BLANK", &[("a", 1), ("b", 2)]), 1);
            assert_eq!(reader.problems, []);
            assert_eq!((reader.required("BLANK"), reader.list("BLANK")), (None, None));
            assert_eq!(reader.finish(Some(())).unwrap_err(), InvalidSettings::of("BLANK", "is missing"));
        }
    }

    #[test]
    fn values_are_read_as_documented() {
        let source = variables(&[
            ("TEXT", " kept as it is "),
            ("NUMBER", " 7 "),
            ("FLAG", "true"),
            ("CHOICE", "b"),
            ("LIST", "a, b,,"),
            ("TIME", "90"),
        ]);
        let mut reader = Reader::new(&source);
        assert_eq!(reader.required("TEXT").as_deref(), Some(" kept as it is "));
        assert_eq!(reader.number("NUMBER"), Some(7u32));
        assert!(reader.flag("FLAG"));
        assert_eq!(reader.choice("CHOICE", &[("a", 1), ("b", 2)]), 2);
        assert_eq!(reader.list("LIST").unwrap(), ["a", "b"]);
        assert_eq!(reader.seconds("TIME"), Some(Duration::from_secs(90)));
        assert_eq!(reader.finish(Some(1)), Ok(1));
    }

    #[test]
    fn an_error_names_the_variables_and_what_is_wrong_with_them() {
        let mut reader = Reader::new(&|_| None);
        reader.required("A");
        reader.refuse("B", "must be 1 or 0");
        let error = reader.finish(None::<()>).unwrap_err();
        assert_eq!(error.to_string(), "the settings are invalid: A is missing; B must be 1 or 0");
    }
}
