//! The packages of the workspace and what they depend on directly, as `cargo metadata` states them.

use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// One package of the workspace.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// Relative to the root of the workspace.
    pub(super) folder: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// One line of its `Cargo.toml`.
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// For tests only: a `[dev-dependencies]` line.
    pub(super) dev: bool,
}

/// Asks cargo. Nothing is resolved or fetched.
pub(super) fn read(root: &Path) -> Result<Vec<Package>> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let packages = metadata.workspace_packages().into_iter().map(|package| {
        let folder = package.manifest_path.parent().context("a manifest without a folder")?;
        let folder = folder.strip_prefix(&metadata.workspace_root)?.to_string();
        let dependencies = package.dependencies.iter().map(|dependency| Dependency {
            name: dependency.name.clone(),
            dev: dependency.kind == DependencyKind::Development,
        });
        Ok(Package { name: package.name.to_string(), folder, dependencies: dependencies.collect() })
    });
    packages.collect()
}
