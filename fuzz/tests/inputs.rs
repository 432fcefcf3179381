//! The fuzz targets over the committed inputs: seeds, and inputs that once broke a law.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use streamio_fuzz::TARGETS;

/// The folders of inputs, each with a folder for each target.
const KINDS: [&str; 2] = ["seeds", "regressions"];

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_target_holds_for_its_inputs() {
    for target in TARGETS {
        for input in KINDS
            .map(|kind| folder(kind).join(target.name))
            .iter()
            .filter(|folder| folder.is_dir())
            .flat_map(|folder| entries(folder))
        {
            let data = fs::read(&input).unwrap();
            // The name of an input that breaks a law is the last line before the panic.
            println!("{}", input.display());
            (target.check)(&data);
        }
    }
}

#[test]
fn every_target_has_seeds_and_every_folder_a_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let of = |kind| -> BTreeSet<String> {
        entries(&folder(kind))
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(of("seeds"), names);
    assert!(of("regressions").is_subset(&names));
}
