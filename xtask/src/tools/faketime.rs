//! libfaketime, with which tests set the clock of programs. <https://github.com/wolfcw/libfaketime>

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::package_manager;

/// The variant for programs with several threads.
const LIBRARY: &str = "libfaketimeMT.so.1";

/// The folders of libraries, which packages add `faketime` to. Some have one for each kind of machine between the two.
const FOLDERS: [&str; 4] = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib"];

/// Returns the path of the library, after installing it if it is missing.
pub(super) fn ensure() -> Result<PathBuf> {
    if let Some(path) = find() {
        return Ok(path);
    }
    package_manager::install("libfaketime")?;
    find().with_context(|| {
        format!("libfaketime was installed, but {LIBRARY} is not below {}", FOLDERS.join(" or "))
    })
}

fn find() -> Option<PathBuf> {
    FOLDERS.iter().find_map(|folder| find_below(Path::new(folder)))
}

fn find_below(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(folder.to_owned())
        .chain(entries)
        .map(|folder| folder.join("faketime").join(LIBRARY))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_beside_others_and_below_a_kind_of_machine() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(find_below(root.path()), None);
        let folder = root.path().join("x86_64-linux-gnu/faketime");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(LIBRARY), "").unwrap();
        assert_eq!(find_below(root.path()), Some(folder.join(LIBRARY)));
    }
}
