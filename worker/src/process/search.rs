//! Finds a program as a shell does.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// The absolute path of `program`, a path or the name of an executable file in a folder of `PATH`.
pub(super) fn program(program: &str) -> io::Result<PathBuf> {
    if program.contains('/') {
        return std::path::absolute(program);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_executable = |path: &PathBuf| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(is_executable);
    let found = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is in no folder of PATH"))?;
    std::path::absolute(found)
}
