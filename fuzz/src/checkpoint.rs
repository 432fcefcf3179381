//! Checkpoints of the transparency log, signed notes, verifier keys and paths of tiles.

use streamio_core::audit::checkpoint::Checkpoint;
use streamio_core::audit::note::{
    MAX_NOTE_BYTES, MAX_SIGNATURES, NoteError, NoteSigner, SignedNote, VerifierKey,
};
use streamio_core::audit::tiles::Tile;

use crate::text;

/// What is accepted is in its only spelling. A note is verified only with a key that one of its lines names, and a checkpoint that was
/// signed is verified. The first line is a verifier key, the second one a tile's path, the rest a note.
pub fn check(data: &[u8]) {
    let ([key, path], note) = text::lines(data);
    let key: Option<VerifierKey> = text::of(key).and_then(|key| key.parse().ok());
    if let Some(key) = &key {
        assert_eq!(key.to_string().as_bytes(), data.split(|byte| *byte == b'\n').next().unwrap_or_default());
    }
    if let Some(Ok(tile)) = text::of(path).map(str::parse::<Tile>) {
        assert_eq!(tile.to_string().as_bytes(), path);
        assert!((1..=256).contains(&tile.width()) && tile.is_partial() == (tile.width() < 256));
    }
    let Some(note) = text::of(note) else { return };
    if let Ok(checkpoint) = note.parse::<Checkpoint>() {
        check_checkpoint(&checkpoint, note);
    }
    let Ok(signed) = note.parse::<SignedNote>() else { return };
    assert_eq!(signed.to_string(), note);
    assert!(note.len() <= MAX_NOTE_BYTES && (1..=MAX_SIGNATURES).contains(&signed.signatures().len()));
    assert_eq!(signed.verify(&[]), Err(NoteError::NoKnownKey));
    let Some(key) = key else { return };
    let names = |line: &str| line.starts_with(&format!("— {} ", key.name()));
    let keys = [key.clone()];
    if let Ok((text, signed_by)) = signed.verify(&keys) {
        assert!(
            note.strip_prefix(text).is_some_and(|rest| rest.starts_with('\n') && rest.lines().any(names))
        );
        assert_eq!(signed_by, [&key]);
    }
    if let Ok(checkpoint) = Checkpoint::verify(&signed, &keys) {
        assert_eq!(checkpoint.origin(), key.name());
        check_checkpoint(&checkpoint, signed.verify(&keys).expect("it was verified").0);
    }
}

/// A checkpoint is written as it was read, and can be signed and verified if its origin is a key's name.
fn check_checkpoint(checkpoint: &Checkpoint, text: &str) {
    assert_eq!(checkpoint.to_string(), text);
    let lines =
        [checkpoint.origin().to_owned(), checkpoint.size().to_string(), checkpoint.root().to_string()];
    assert!(text.lines().zip(&lines).all(|(line, expected)| line == expected));
    let Ok(key) = NoteSigner::from_seed(checkpoint.origin(), &[1; 32]) else { return };
    let Ok(signed) = checkpoint.sign(&[&key]) else {
        assert!(text.len() > MAX_NOTE_BYTES / 2, "only a long text cannot be signed");
        return;
    };
    let read: SignedNote = signed.to_string().parse().expect("it was written");
    assert_eq!(Checkpoint::verify(&read, &[key.verifier_key().clone()]).as_ref(), Ok(checkpoint));
}
