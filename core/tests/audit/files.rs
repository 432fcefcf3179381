//! The files that a verifier of a log gets, and the run of the independent verifier on them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use streamio_core::audit::note::NoteSigner;
use tempfile::TempDir;

use crate::log::{Log, ORIGIN};

/// The contents of the files. A test changes them.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) export: Vec<String>,
    pub(crate) checkpoint: String,
    pub(crate) key: String,
    pub(crate) proofs: Vec<String>,
    pub(crate) old: String,
    pub(crate) consistency: String,
}

pub(crate) fn signer() -> NoteSigner {
    NoteSigner::from_seed(ORIGIN, &[7; 32]).unwrap()
}

impl Files {
    /// The files of the first `size` commits of a log: its export, checkpoint and key, proofs of three commits, and the proof that the
    /// first `old` commits are its beginning.
    pub(crate) fn of(log: &Log, size: usize, old: usize) -> Self {
        let (signer, tree) = (signer(), log.tree(size));
        let indexes = [0, size / 2, size - 1];
        Self {
            export: log.export(),
            checkpoint: tree.checkpoint(&signer).to_string(),
            key: signer.verifier_key().to_string(),
            proofs: indexes.iter().map(|index| tree.inclusion(*index, &signer).to_string()).collect(),
            old: log.tree(old).checkpoint(&signer).to_string(),
            consistency: tree.consistency(old, &signer),
        }
    }

    /// Runs the verifier. Returns what it prints, or the message with which it refuses the files.
    pub(crate) fn verify(&self) -> Result<String, String> {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| -> PathBuf {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let mut python = Command::new(python());
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audit/verifier.py"));
        python.arg(write("export.jsonl", &(self.export.join("\n") + "\n")));
        python.arg(write("checkpoint", &self.checkpoint)).arg(&self.key);
        for (number, proof) in self.proofs.iter().enumerate() {
            python.arg("--proof").arg(write(&format!("{number}.tlog-proof"), proof));
        }
        python.arg("--old").arg(write("old", &self.old));
        python.arg("--consistency").arg(write("consistency", &self.consistency));
        let output = python.output().unwrap();
        let [printed, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        if output.status.success() {
            return Ok(printed);
        }
        let refusal =
            errors.strip_prefix("refused: ").unwrap_or_else(|| panic!("the verifier failed: {errors}"));
        Err(refusal.trim_end().to_owned())
    }
}

/// The name of the Python program on PATH.
fn python() -> &'static str {
    let runs = |name: &&str| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    ["python3", "python"].into_iter().find(runs).expect(
        "`python3` is not on PATH: install Python 3 (the independent verifier of the transparency log is a Python program)",
    )
}
