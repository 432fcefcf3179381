//! Unicode Normalization Form C, by tables of this program or of its host.

/// Whether `text` is in NFC. <https://www.unicode.org/reports/tr15/>
#[cfg(not(all(target_arch = "wasm32", feature = "host-unicode")))]
pub(crate) fn is_nfc(text: &str) -> bool {
    text.is_ascii() || unicode_normalization::is_nfc(text)
}

/// Whether `text` is in NFC, as the host of the module says, who has the tables anyway: they would be a fifth of it.
/// <https://www.unicode.org/reports/tr15/>
#[cfg(all(target_arch = "wasm32", feature = "host-unicode"))]
pub(crate) fn is_nfc(text: &str) -> bool {
    text.is_ascii() || js_sys::JsString::from(text).normalize("NFC") == text
}
