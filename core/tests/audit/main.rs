//! The transparency log against a verifier in another language that shares no code with it: `verifier.py`.

mod files;
mod integration;
mod log;

use files::Files;
use log::{Log, ORIGIN};
use streamio_core::audit::note::NoteSigner;

/// Sizes around the powers of two and the widths of tiles, and some others.
const SIZES: [usize; 20] = [1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 65, 127, 200, 255, 256, 257, 511, 512, 513, 1000];

fn printed(size: usize, old: usize) -> String {
    let proofs = [0, size / 2, size - 1].map(|index| format!("commit {index} is in the log\n"));
    format!("{size} commits\n{}{old} commits are the beginning of the log\n", proofs.concat())
}

#[test]
fn an_independent_verifier_accepts_trees_of_1_to_1000_commits() {
    for (place, size) in SIZES.into_iter().enumerate() {
        // The old trees have sizes of all forms too: equal, a power of two, any.
        let old = if place % 3 == 0 { size } else { SIZES[place / 2] };
        assert_eq!(Files::of(&Log::of(size), size, old).verify(), Ok(printed(size, old)), "{old} in {size}");
    }
}

#[test]
fn an_independent_verifier_accepts_a_tree_of_100000_commits() {
    let size = 100_000;
    assert_eq!(Files::of(&Log::of(size), size, 77_777).verify(), Ok(printed(size, 77_777)));
}

#[test]
fn an_independent_verifier_accepts_a_log_that_has_grown_since_the_checkpoint() {
    assert_eq!(Files::of(&Log::of(700), 650, 300).verify(), Ok(printed(650, 300)));
}

/// Refuses the files after a change of them, with this message.
#[track_caller]
fn assert_refused(sound: &Files, message: &str, change: impl FnOnce(&mut Files)) {
    let mut files = sound.clone();
    change(&mut files);
    match files.verify() {
        Err(refused) => assert!(refused.contains(message), "{refused:?} does not contain {message:?}"),
        Ok(printed) => panic!("the verifier accepts what should be refused with {message:?}: {printed}"),
    }
}

/// Returns the text with another last digit of the base64 in a line.
fn with_another_hash(text: &str, line: usize) -> String {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let other = if lines[line].starts_with('A') { "B" } else { "A" };
    lines[line].replace_range(..1, other);
    lines.join("\n")
}

#[test]
fn an_independent_verifier_refuses_changed_commits() {
    let log = Log::of(300);
    let sound = Files::of(&log, 300, 100);
    let line = sound.export.iter().position(|line| line.contains("\"number\":150,")).unwrap();
    let number = line + 1;
    assert_refused(&sound, &format!("line {number}: the commit was changed"), |files| {
        files.export[line] = files.export[line].replacen("\"none\":null", "\"none\":0", 1);
    });
    assert_refused(&sound, "grants/acme/20260102030400/6 has a gap after version", |files| {
        files.export.remove(line);
    });
    assert_refused(
        &sound,
        &format!("line {}: grants/acme/20260102030400/6 has a gap", number + 1),
        |files| {
            files.export.insert(line, files.export[line].clone());
        },
    );
    // Two commits of different streams in another order: both chains are sound, the tree is not.
    assert_refused(&sound, "do not have the root of the checkpoint", |files| {
        files.export.swap(line, line + 1);
    });
    assert_refused(&sound, "the checkpoint is of 300 commits, but the export has 299", |files| {
        files.export.pop();
    });
    // An export of events instead of commits.
    assert_refused(&sound, "line 1 is not a commit with its hashes", |files| {
        files.export[0] = r#"{"specversion":"1.0","id":"grants/acme/20260102030400/6/1"}"#.to_owned();
    });
    // A history that was computed again: every chain is sound.
    let mut forged = Log::of(300);
    let last = forged.commits.last_mut().unwrap();
    last.events.truncate(1);
    last.recorded_at = log.commits[0].recorded_at;
    last.hash = last.computed_hash();
    assert_refused(&sound, "do not have the root of the checkpoint", |files| files.export = forged.export());
}

#[test]
fn an_independent_verifier_refuses_changed_checkpoints_and_proofs() {
    let sound = Files::of(&Log::of(300), 300, 100);
    assert_refused(&sound, "the signature of the checkpoint is wrong", |files| {
        files.checkpoint = files.checkpoint.replace("\n300\n", "\n299\n");
    });
    assert_refused(&sound, "the checkpoint is not signed with the key", |files| {
        let other = NoteSigner::from_seed(ORIGIN, &[8; 32]).unwrap();
        files.key = other.verifier_key().to_string();
    });
    assert_refused(&sound, "the id of the verifier key", |files| {
        files.key = files.key.replace("acme", "acmf");
    });
    assert_refused(&sound, "commit 151 is not in the tree", |files| {
        files.proofs[1] = files.proofs[1].replace("index 150", "index 151");
    });
    for line in 3..12 {
        assert_refused(&sound, "commit 150 is not in the tree", |files| {
            files.proofs[1] = with_another_hash(&files.proofs[1], line);
        });
    }
    assert_refused(&sound, "the inclusion proof has too few hashes", |files| {
        let hash = files.proofs[1].split('\n').nth(3).unwrap().to_owned();
        files.proofs[1] = files.proofs[1].replace(&format!("{hash}\n"), "");
    });
    for line in [1, 2, 3] {
        assert_refused(&sound, "the checkpoints are not consistent", |files| {
            files.consistency = with_another_hash(&files.consistency, line);
        });
    }
    assert_refused(&sound, "the consistency proof is from another size", |files| {
        files.consistency = files.consistency.replace("old 100", "old 101");
    });
    assert_refused(&sound, "the old checkpoint is of another log", |files| {
        let mut other = Log::of(100);
        other.commits.swap(98, 99);
        files.old = other.tree(100).checkpoint(&files::signer()).to_string();
    });
}
