//! An independent implementation of percent-encoding.

/// Encodes every byte but letters, digits and those in `kept`.
pub(crate) fn percent(text: &str, kept: &str) -> String {
    let encode = |byte: u8| match char::from(byte) {
        plain if plain.is_ascii_alphanumeric() || kept.contains(plain) => plain.to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
