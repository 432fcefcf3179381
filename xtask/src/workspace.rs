//! Where things are: the checkout, its build directory, and the user's cache folder.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::Shell;

/// The checkout this xtask was built in, and a shell whose current directory is its root.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where fetched things live: a folder of this user, shared by all checkouts, one folder per version.
    pub(crate) cache: PathBuf,
    pub(crate) shell: Shell,
}

impl Workspace {
    /// The workspace is the parent of xtask's own folder, wherever the command was typed.
    pub(crate) fn find() -> Result<Self> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?.to_owned();
        if !root.join("Cargo.toml").is_file() {
            bail!(
                "{} holds no Cargo.toml: was the checkout moved? Run `cargo clean -p xtask`",
                root.display()
            );
        }
        let shell = Shell::new()?;
        shell.change_dir(&root);
        let cache = cache_under(
            env::var_os("XDG_CACHE_HOME").map(PathBuf::from),
            env::var_os("HOME").map(PathBuf::from),
        )?;
        Ok(Self { root, cache, shell })
    }

    /// Where cargo builds to.
    pub(crate) fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |folder| self.root.join(folder))
    }
}

/// The XDG base directory rule: a relative `XDG_CACHE_HOME` is to be ignored.
fn cache_under(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Result<PathBuf> {
    let base = xdg.filter(|path| path.is_absolute()).or_else(|| home.map(|home| home.join(".cache")));
    Ok(base
        .context("neither XDG_CACHE_HOME nor HOME is set: no place to keep fetched tools")?
        .join("streamio"))
}

#[cfg(test)]
mod tests {
    use super::cache_under;
    use std::path::PathBuf;

    #[test]
    fn the_cache_is_where_the_xdg_rule_puts_it() {
        let under = |xdg: Option<&str>| cache_under(xdg.map(PathBuf::from), Some("/home/a".into())).unwrap();
        assert_eq!(under(Some("/x")), PathBuf::from("/x/streamio"));
        assert_eq!(under(Some("x")), PathBuf::from("/home/a/.cache/streamio"));
        assert_eq!(under(None), PathBuf::from("/home/a/.cache/streamio"));
        assert!(cache_under(None, None).unwrap_err().to_string().contains("XDG_CACHE_HOME"));
    }
}
