//! The paths of the checkout, of its build directory and of the user's cache folder.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::Shell;

/// The checkout in which this xtask was built.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// The cache folder of the user, which all checkouts share. Each version of a tool has a separate folder in it.
    pub(crate) cache: PathBuf,
    /// A shell whose current directory is the root.
    pub(crate) shell: Shell,
}

impl Workspace {
    /// Returns the workspace: the parent of xtask's folder, independent of the current directory.
    pub(crate) fn find() -> Result<Self> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?.to_owned();
        if !root.join("Cargo.toml").is_file() {
            bail!("{} has no Cargo.toml: was the checkout moved? Run `cargo clean -p xtask`", root.display());
        }
        let shell = Shell::new()?;
        shell.change_dir(&root);
        let cache = cache_under(
            env::var_os("XDG_CACHE_HOME").map(PathBuf::from),
            env::var_os("HOME").map(PathBuf::from),
        )?;
        Ok(Self { root, cache, shell })
    }

    /// Returns the build directory of cargo.
    pub(crate) fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |folder| self.root.join(folder))
    }
}

/// Returns the cache folder. A relative `XDG_CACHE_HOME` is ignored, as the XDG base directory specification requires.
fn cache_under(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Result<PathBuf> {
    let base = xdg.filter(|path| path.is_absolute()).or_else(|| home.map(|home| home.join(".cache")));
    Ok(base
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no cache folder for tools")?
        .join("streamio"))
}

#[cfg(test)]
mod tests {
    use super::cache_under;
    use std::path::PathBuf;

    #[test]
    fn the_cache_folder_follows_the_xdg_specification() {
        let under = |xdg: Option<&str>| cache_under(xdg.map(PathBuf::from), Some("/home/a".into())).unwrap();
        assert_eq!(under(Some("/x")), PathBuf::from("/x/streamio"));
        assert_eq!(under(Some("x")), PathBuf::from("/home/a/.cache/streamio"));
        assert_eq!(under(None), PathBuf::from("/home/a/.cache/streamio"));
        assert!(cache_under(None, None).unwrap_err().to_string().contains("XDG_CACHE_HOME"));
    }
}
