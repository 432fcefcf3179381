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
