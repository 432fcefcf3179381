//! Keys that no other upload has: `"unique": true`.

use streamio_events::id::GrantId;
use streamio_events::object_key::{InvalidKey, SourceKey};

/// The length of the folder's name: 80 bits. Uploads of the same name share a folder as rarely as random ids are the same; if they did,
/// the later one would not be accepted.
const FOLDER_CHARACTERS: usize = 16;

/// A folder as long as any other, to check the length of a key before its grant exists.
pub(super) const EXAMPLE_FOLDER: &str = "aaaaaaaaaaaaaaaa";

/// The key of the grant's upload: that of the request, with a folder before the file's name. The folder is derived from the
/// grant's id, which is random unless the request has an Idempotency-Key, so that a repeated request gets the same key.
pub(super) fn key(requested: &SourceKey, grant: &GrantId) -> Result<SourceKey, InvalidKey> {
    let (_, random) = grant.as_str().split_once('_').unwrap_or_default();
    in_folder(requested, &random[..FOLDER_CHARACTERS.min(random.len())])
}

/// The key of the same file in a folder of the folder that it is in.
pub(super) fn in_folder(key: &SourceKey, folder: &str) -> Result<SourceKey, InvalidKey> {
    let (folders, filename) = key.as_str().rsplit_once('/').unwrap_or_default();
    format!("{folders}/{folder}/{filename}").parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_comes_before_the_files_name() {
        let grant = GrantId::derived_from(&[b"grant"]);
        for (requested, folders, filename) in [
            ("projects/acme/clip.mp4", "projects/acme/", "/clip.mp4"),
            ("projects/acme/films/2026/\u{e9}t\u{e9}.mov", "projects/acme/films/2026/", "/\u{e9}t\u{e9}.mov"),
        ] {
            let key = key(&requested.parse().unwrap(), &grant).unwrap();
            let folder = key.as_str().strip_prefix(folders).unwrap().strip_suffix(filename).unwrap();
            assert_eq!(folder, &grant.as_str()[4..20]);
            assert_eq!(folder.len(), EXAMPLE_FOLDER.len());
        }
    }
}
