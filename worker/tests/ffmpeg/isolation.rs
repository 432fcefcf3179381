//! The sandbox of FFmpeg, against a program that does what a decoder under an attacker's control would do.

mod attacker;
mod children;
mod control_group;
mod program;
mod relay;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles the C program `source` in `directory`, and lets every user run it. Its functions are at the same addresses in each process.
pub(super) fn compile(directory: &Path, source: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let (text, program) = (directory.join("program.c"), directory.join("program"));
    std::fs::write(&text, source).unwrap();
    let compiled = Command::new("cc")
        .args(["-O1", "-pthread", "-no-pie", "-fno-pie", "-o"])
        .args([&program, &text])
        .output()
        .expect("the tests need a C compiler, `cc`");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    for folder in directory.ancestors().take_while(|folder| folder.starts_with(std::env::temp_dir())) {
        if folder != std::env::temp_dir() {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    program
}
