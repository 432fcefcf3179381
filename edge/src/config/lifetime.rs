/// How long a URL may live, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// The shortest that a caller may ask for, at least 1.
    pub min: u32,
    /// When the caller does not say.
    pub default: u32,
    /// The longest that a caller may ask for.
    pub max: u32,
}

impl Lifetime {
    /// Whether `seconds` may be asked for.
    pub(crate) fn allows(self, seconds: u32) -> bool {
        (self.min..=self.max).contains(&seconds)
    }

    pub(super) fn check(self, limit: u32) -> Result<(), String> {
        let Self { min, default, max } = self;
        if 1 <= min && min <= default && default <= max && max <= limit {
            Ok(())
        } else {
            Err(format!("must be 1 <= min <= default <= max <= {limit} seconds, not {min}, {default}, {max}"))
        }
    }
}
