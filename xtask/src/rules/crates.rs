//! The packages of the workspace and their direct dependencies, from `cargo metadata`.

use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// A package of the workspace.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// Relative to the root of the workspace.
    pub(super) folder: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// A dependency in the `Cargo.toml` of a package.
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// Whether it is in `[dev-dependencies]`.
    pub(super) dev: bool,
}

/// Runs `cargo metadata` without resolving or fetching dependencies.
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
