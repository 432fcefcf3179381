//! Looks up programs on PATH.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Returns the program with this name on PATH.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    find_on(&env::var_os("PATH")?, name)
}

/// Returns the first executable file with this name on `path`.
fn find_on(path: &OsStr, name: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(name)).find(|candidate| is_executable(candidate))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::find_on;
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_an_executable_file_is_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = OsString::from(folder.path());
        let file = folder.path().join("tool");
        assert_eq!(find_on(&path, "tool"), None);
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(find_on(&path, "tool"), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_on(&path, "tool"), Some(file));
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert_eq!(find_on(&path, "folder"), None);
    }
}
