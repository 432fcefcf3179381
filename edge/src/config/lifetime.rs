use std::fmt;

/// The bounds and default of a URL's lifetime, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// The shortest that a client may request, at least 1.
    pub min: u32,
    /// Used if the client requests none.
    pub default: u32,
    /// The longest that a client may request.
    pub max: u32,
}

impl Lifetime {
    /// Whether a client may request `seconds`.
    pub(crate) fn allows(self, seconds: u32) -> bool {
        (self.min..=self.max).contains(&seconds)
    }

    /// Checks that `1 <= min <= default <= max <= limit`; returns the reason if not.
    pub(super) fn check(self, limit: u32) -> Result<(), String> {
        let Self { min, default, max } = self;
        if 1 <= min && min <= default && default <= max && max <= limit {
            Ok(())
        } else {
            Err(format!("must be 1 <= min <= default <= max <= {limit} seconds, not {min}, {default}, {max}"))
        }
    }
}

/// The bounds in seconds, as requests have them, and the upper one also in the largest unit that divides it.
impl fmt::Display for Lifetime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, max, .. } = *self;
        write!(formatter, "{min} to {max} seconds")?;
        let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
        if let Some((length, unit)) = units.into_iter().find(|(length, _)| max % length == 0) {
            let count = max / length;
            write!(formatter, " (at most {count} {unit}{})", if count == 1 { "" } else { "s" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Lifetime;

    #[test]
    fn the_longest_lifetime_is_shown_in_the_unit_that_people_write() {
        for (max, shown) in [
            (604_800, "1 to 604800 seconds (at most 7 days)"),
            (86_400, "1 to 86400 seconds (at most 1 day)"),
            (43_200, "1 to 43200 seconds (at most 12 hours)"),
            (5_400, "1 to 5400 seconds (at most 90 minutes)"),
            (90, "1 to 90 seconds"),
        ] {
            assert_eq!(Lifetime { min: 1, default: 1, max }.to_string(), shown);
        }
    }
}
