use std::fmt;

/// A URL that carries its own authorization: anyone who has it may use it. `Debug` hides it, and there is no `Display`
/// or `Serialize`: reading the text takes an explicit call, which is easy to search for.
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
