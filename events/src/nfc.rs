//! Unicode Normalization Form C (<https://www.unicode.org/reports/tr15/>), by tables in this program or in its JavaScript host, which
//! has them anyway: in the Worker's module they would be a fifth of its size.

use std::borrow::Cow;

/// Whether `text` is in NFC.
pub(crate) fn is_nfc(text: &str) -> bool {
    text.is_ascii() || host::is_nfc(text)
}

/// Returns `text` in NFC. macOS, for example, gives the names of files in another form.
pub fn to_nfc(text: &str) -> Cow<'_, str> {
    if is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(host::to_nfc(text)) }
}

#[cfg(not(all(target_arch = "wasm32", feature = "host-unicode")))]
mod host {
    use unicode_normalization::UnicodeNormalization as _;

    pub(super) fn is_nfc(text: &str) -> bool {
        unicode_normalization::is_nfc(text)
    }

    pub(super) fn to_nfc(text: &str) -> String {
        text.nfc().collect()
    }
}

#[cfg(all(target_arch = "wasm32", feature = "host-unicode"))]
mod host {
    use js_sys::JsString;

    pub(super) fn is_nfc(text: &str) -> bool {
        JsString::from(text).normalize("NFC") == text
    }

    pub(super) fn to_nfc(text: &str) -> String {
        JsString::from(text).normalize("NFC").into()
    }
}
