//! `streamio backup` and `streamio restore`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Run, normalized, run, streamio};

/// A folder with a data directory that has a project.
struct Scratch(tempfile::TempDir);

impl Scratch {
    async fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        scratch.run(&["project", "create", "acme"]).await.ok();
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program in the folder, on the data directory `data`.
    async fn run(&self, arguments: &[&str]) -> Run {
        let mut command = streamio(arguments);
        command.current_dir(self.0.path()).env("STREAMIO_DATA", "data");
        run(command).await
    }

    fn transcript(&self, run: &Run) -> String {
        normalized(&run.transcript(), &[(self.0.path().canonicalize().unwrap().to_str().unwrap(), "DIR")])
    }

    /// All files with their contents.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn add(directory: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    add(&path, found);
                } else {
                    let bytes = fs::read(&path).unwrap();
                    found.insert(path, bytes);
                }
            }
        }
        let mut found = BTreeMap::new();
        add(self.0.path(), &mut found);
        found
    }

    fn flip(&self, name: &str, at: usize) {
        let path = self.path(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_destroyed_data_directory_is_restored() {
    let scratch = Scratch::new().await;
    let exported = scratch.run(&["events", "export"]).await.ok().stdout;
    let made = scratch.run(&["backup", "monday"]).await;
    insta::assert_snapshot!(scratch.transcript(&made), @r"
    exit 0
    --- stdout
    Backed up 2 events in N streams and 0 versions of objects (0 B) to monday
    Copy it to another disk: its files are hard links to those of the data directory
    --- stderr
    Backing up: 50 %
    Backing up: 100 %
    ");
    fs::remove_dir_all(scratch.path("data")).unwrap();

    let restored = scratch.run(&["restore", "monday", "--quiet"]).await.ok();
    let time = restored.stdout.split(' ').find(|word| word.ends_with('Z')).unwrap().to_owned();
    insta::assert_snapshot!(restored.stdout.replace(&time, "TIME"), @"Restored 2 events in 1 streams and 0 versions of objects (0 B) of TIME to data");
    assert_eq!(scratch.run(&["events", "export"]).await.ok().stdout, exported);
    let again = scratch.run(&["restore", "monday", "--data", "other", "--json"]).await.ok().json();
    assert_eq!(again["dataDir"], "other");
    assert_eq!((&again["backup"]["format"], &again["backup"]["contents"]["events"]), (&1.into(), &2.into()));
}

#[tokio::test]
async fn a_directory_that_is_not_empty_is_never_changed() {
    let scratch = Scratch::new().await;
    scratch.run(&["backup", "monday"]).await.ok();
    fs::create_dir(scratch.path("tuesday.partial")).unwrap();
    let before = scratch.files();
    let mut lines = String::new();
    for arguments in [
        &["backup", "monday"][..],
        &["backup", "tuesday"],
        &["backup", "data/monday"],
        &["backup", "nowhere/monday"],
        &["backup", "new", "--data", "unknown"],
        &["restore", "monday"],
        &["restore", "data", "--data", "new"],
        &["restore", "unknown", "--data", "new"],
    ] {
        let run = scratch.run(arguments).await;
        assert_eq!(run.stdout, "");
        lines.push_str(&scratch.transcript(&run).replace("--- stdout\n--- stderr\n", ""));
    }
    assert_eq!(scratch.files(), before);
    assert!(!scratch.path("new").exists() && !scratch.path("new.partial").exists());
    insta::assert_snapshot!(lines, @r"
    exit 1
    error: DIR/monday exists and is not empty; nothing was changed; name a directory that does not exist, or move this one away first
    exit 1
    error: DIR/tuesday.partial was left by a run that was stopped, unless another one is running now; remove it
    exit 1
    error: data/monday is in the data directory, with which it would be lost; name a directory elsewhere, best on another disk
    exit 1
    error: cannot create the directory DIR/nowhere/monday.partial: No such file or directory (os error 2); check the disk, its free space and the permissions, then try again
    exit 3
    error: unknown holds no platform's data; name the platform's directory with --data
    exit 1
    error: DIR/data exists and is not empty; nothing was changed; name a directory that does not exist, or move this one away first
    exit 3
    error: data is not a backup: it has no backup.json; name a directory that `streamio backup` made
    exit 3
    error: unknown is not a backup: it has no backup.json; name a directory that `streamio backup` made
    ");
}

#[tokio::test]
async fn a_damaged_backup_is_not_restored_and_what_is_damaged_is_named() {
    let scratch = Scratch::new().await;
    scratch.run(&["backup", "monday"]).await.ok();
    let length = fs::metadata(scratch.path("monday/log.db")).unwrap().len();
    for at in [20, usize::try_from(length).unwrap() - 1] {
        scratch.flip("monday/log.db", at);
        let run = scratch.run(&["restore", "monday", "--data", "new"]).await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
        assert!(run.stderr.contains("monday/log.db is not as it was when the backup was made"), "{run:?}");
        scratch.flip("monday/log.db", at);
    }
    let description = fs::read_to_string(scratch.path("monday/backup.json")).unwrap();
    let newer = description.replace("\"format\": 1", "\"format\": 2");
    fs::write(scratch.path("monday/backup.json"), newer).unwrap();
    let run = scratch.run(&["restore", "monday", "--data", "new"]).await;
    assert!(run.stderr.contains("has the format 2; this program knows the format 1"), "{run:?}");
    fs::write(scratch.path("monday/backup.json"), description).unwrap();
    assert!(!scratch.path("new").exists() && !scratch.path("new.partial").exists());
    scratch.run(&["restore", "monday", "--data", "new"]).await.ok();
}

#[tokio::test]
async fn a_log_that_was_changed_is_not_backed_up() {
    let scratch = Scratch::new().await;
    let bytes = fs::read(scratch.path("data/log.db")).unwrap();
    let at = bytes.windows(7).position(|window| window == b"\"admin\"").expect("the scope of the key");
    scratch.flip("data/log.db", at + 5);
    let run = scratch.run(&["backup", "monday"]).await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let finding =
        "error: the log was changed: the commit at version 1 of project/acme was changed; `streamio";
    assert!(run.stderr.contains(finding), "{run:?}");
    assert!(!scratch.path("monday").exists() && !scratch.path("monday.partial").exists());
}
