//! The paths of requests as they are logged.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use streamio_events::masked::without_api_keys;

/// How often a path may be percent-encoded. One that is encoded more often is not logged.
const MAX_ENCODINGS: usize = 4;

/// `path`, without the API key that a client may have put into it, in whichever encoding.
pub(crate) fn logged_path(path: &str) -> Cow<'_, str> {
    let mut decoded = Cow::Borrowed(path);
    for _ in 0..=MAX_ENCODINGS {
        let next = percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
        if next == decoded {
            return match without_api_keys(&decoded) {
                Cow::Borrowed(_) => Cow::Borrowed(path),
                Cow::Owned(masked) => Cow::Owned(masked),
            };
        }
        decoded = Cow::Owned(next);
    }
    Cow::Borrowed("…")
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    #[test]
    fn a_path_without_a_key_is_logged_as_it_was_sent() {
        for path in ["", "/", "/raw/projects/acme/%C3%A9%20t%zz%", "/a/../b", "/%ff"] {
            assert_eq!(logged_path(path), path);
        }
    }

    #[test]
    fn a_key_is_masked_however_often_it_is_encoded() {
        let mut path = "/raw/a/sio_live_0123456789_abcdef/b".to_owned();
        for _ in 0..=MAX_ENCODINGS {
            assert_eq!(logged_path(&path), "/raw/a/sio_…/b", "{path}");
            path = utf8_percent_encode(&path, NON_ALPHANUMERIC).to_string();
        }
        assert_eq!(logged_path(&path), "…");
        assert_eq!(logged_path("/%73io_live_x"), "/sio_…");
    }
}
