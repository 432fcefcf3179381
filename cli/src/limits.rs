//! The limits of projects on the command line: `NAME=VALUE`.

use streamio_events::limits::{Limit, ProjectLimits};

pub(crate) const LIMIT_HELP: &str = "Limit of each project that has none of its own (repeatable): concurrent-encodes, bytes-per-day, minutes-per-day or \
     stored-bytes, and a number (of bytes also with a unit, as 500GB or 1TiB) or `unlimited`, which is the default of all";

pub(crate) const OWN_LIMIT_HELP: &str = "Limit of the project (repeatable): concurrent-encodes, bytes-per-day, minutes-per-day or stored-bytes, and a number \
     (of bytes also with a unit, as 500GB or 1TiB), `unlimited`, or `default` for the limit of `streamio up`";

/// Parses `NAME=VALUE`, where the value may also be `default`: `None`.
pub(crate) fn own_limit(text: &str) -> Result<(&'static str, Option<Limit>), String> {
    match text.split_once('=') {
        Some((name, "default")) => Ok((name_of(name)?, None)),
        _ => limit(text).map(|(name, limit)| (name, Some(limit))),
    }
}

/// Parses `NAME=VALUE`.
pub(crate) fn limit(text: &str) -> Result<(&'static str, Limit), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE, such as stored-bytes=500GB")?;
    let name = name_of(name)?;
    if let Ok(limit) = value.parse() {
        return Ok((name, limit));
    }
    if !name.contains("bytes") {
        return Err(format!("{name} must be a whole number, or `unlimited`"));
    }
    let size: bytesize::ByteSize = value
        .parse()
        .map_err(|_| format!("{name} must be a number of bytes, such as 500GB or 1TiB, or `unlimited`"))?;
    Ok((name, Limit::AtMost(size.as_u64())))
}

fn name_of(text: &str) -> Result<&'static str, String> {
    let names = ProjectLimits::NAMES;
    let known = names.iter().find(|name| **name == text);
    known.copied().ok_or_else(|| format!("there is no limit `{text}`, only {}", names.join(", ")))
}

/// The limits of a deployment: those that are given, and no others.
pub(crate) fn project_limits(given: &[(&'static str, Limit)]) -> ProjectLimits {
    let mut limits = ProjectLimits::UNLIMITED;
    for (name, limit) in given {
        if let Some(field) = limits.by_name(name) {
            *field = *limit;
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_sizes_or_words() {
        assert_eq!(limit("stored-bytes=500GB"), Ok(("stored-bytes", Limit::AtMost(500_000_000_000))));
        assert_eq!(limit("bytes-per-day=1TiB"), Ok(("bytes-per-day", Limit::AtMost(1 << 40))));
        assert_eq!(limit("concurrent-encodes=2"), Ok(("concurrent-encodes", Limit::AtMost(2))));
        assert_eq!(limit("minutes-per-day=unlimited"), Ok(("minutes-per-day", Limit::Unlimited)));
        assert_eq!(own_limit("minutes-per-day=default"), Ok(("minutes-per-day", None)));
        for (wrong, said) in [
            ("stored-bytes", "NAME=VALUE"),
            ("size=1", "there is no limit `size`, only concurrent-encodes"),
            ("stored-bytes=lots", "must be a number of bytes"),
            ("minutes-per-day=2GB", "must be a whole number"),
            ("stored-bytes=default", "must be a number of bytes"),
        ] {
            assert!(limit(wrong).unwrap_err().contains(said), "{wrong}");
        }
    }
}
