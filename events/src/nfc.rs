//! Unicode Normalization Form C, by tables in this program or in its JavaScript host.

/// Whether `text` is in NFC. <https://www.unicode.org/reports/tr15/>
#[cfg(not(all(target_arch = "wasm32", feature = "host-unicode")))]
pub(crate) fn is_nfc(text: &str) -> bool {
    text.is_ascii() || unicode_normalization::is_nfc(text)
}

/// Whether `text` is in NFC, according to the JavaScript host. It has the tables anyway; in the module they would be a
/// fifth of its size. <https://www.unicode.org/reports/tr15/>
#[cfg(all(target_arch = "wasm32", feature = "host-unicode"))]
pub(crate) fn is_nfc(text: &str) -> bool {
    text.is_ascii() || js_sys::JsString::from(text).normalize("NFC") == text
}
