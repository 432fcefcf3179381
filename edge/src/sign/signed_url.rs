use std::fmt;

/// A URL that carries its own authorisation: whoever reads it may use it. `Debug` therefore shows nothing of
/// it, and there is no `Display` and no `Serialize`: taking the text out is an act that one can search for.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedUrl(String);

impl SignedUrl {
    pub(super) fn new(url: String) -> Self {
        Self(url)
    }

    /// The whole URL, signature included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole URL, signature included.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SignedUrl(…)")
    }
}
