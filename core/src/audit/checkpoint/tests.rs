use proptest::prelude::*;

use super::*;

const ORIGIN: &str = "streamio.example/acme";

/// The text of the specification's example.
const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::from_seed(name, &[seed; 32]).unwrap()
}

fn root() -> NodeHash {
    NodeHash::of_leaf(b"a")
}

#[test]
fn the_example_of_the_specification_is_read_and_written() {
    let checkpoint: Checkpoint = EXAMPLE.parse().unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.size()), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.root().to_string(), "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=");
    assert_eq!(checkpoint.extensions(), [""; 0]);
    assert_eq!(checkpoint.to_string(), EXAMPLE);
    let extended: Checkpoint = format!("{EXAMPLE}one\ntwo 2\n").parse().unwrap();
    assert_eq!(extended.extensions(), ["one", "two 2"]);
    assert_eq!(extended.to_string(), format!("{EXAMPLE}one\ntwo 2\n"));
}

#[test]
fn other_texts_are_refused() {
    let size_and_root = "\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    for (text, error) in [
        (String::new(), InvalidCheckpoint::Lines),
        (EXAMPLE.trim_end().to_owned(), InvalidCheckpoint::Lines),
        (size_and_root.to_owned(), InvalidCheckpoint::Origin),
        (format!("a\r{size_and_root}"), InvalidCheckpoint::Origin),
        ("a\n".to_owned(), InvalidCheckpoint::Size),
        (EXAMPLE.replace("20852163", "020852163"), InvalidCheckpoint::Size),
        (EXAMPLE.replace("20852163", "+20852163"), InvalidCheckpoint::Size),
        (EXAMPLE.replace("20852163", "20852163 "), InvalidCheckpoint::Size),
        (EXAMPLE.replace("20852163", "18446744073709551616"), InvalidCheckpoint::Size),
        ("a\n1\n".to_owned(), InvalidCheckpoint::Root),
        (EXAMPLE.replace("2I=", "2J="), InvalidCheckpoint::Root),
        (EXAMPLE.replace("2I=", "2I"), InvalidCheckpoint::Root),
        (EXAMPLE.replace("20852163", "0"), InvalidCheckpoint::EmptyTree),
        (format!("{EXAMPLE}\n"), InvalidCheckpoint::Lines),
        (format!("{EXAMPLE}a\n\nb\n"), InvalidCheckpoint::Lines),
        (format!("{EXAMPLE}a\tb\n"), InvalidCheckpoint::Lines),
        (format!("{EXAMPLE}a"), InvalidCheckpoint::Lines),
    ] {
        assert_eq!(text.parse::<Checkpoint>(), Err(error), "{text:?}");
    }
    assert_eq!(Checkpoint::new("a\nb", 1, root()), Err(InvalidCheckpoint::Origin));
    assert!(Checkpoint::new("a", 0, NodeHash::EMPTY_TREE).is_ok());
}

#[test]
fn a_checkpoint_is_verified_with_one_of_several_keys() {
    let (old, new, witness) = (signer(ORIGIN, 1), signer(ORIGIN, 2), signer("witness.example", 3));
    let checkpoint = Checkpoint::new(ORIGIN, 3, root()).unwrap();
    let note = checkpoint.sign(&[&old, &new, &witness]).unwrap();
    let [old, new, witness] = [old, new, witness].map(|signer| signer.verifier_key().clone());
    for keys in [vec![old.clone()], vec![new.clone()], vec![witness.clone(), new.clone()], vec![old, new]] {
        assert_eq!(Checkpoint::verify(&note, &keys), Ok(checkpoint.clone()));
    }
    // The signature of a witness alone is not one of the log.
    let error = CheckpointError::NotSignedByOrigin(ORIGIN.to_owned());
    assert_eq!(Checkpoint::verify(&note, &[witness]), Err(error));
    let stranger = signer(ORIGIN, 4).verifier_key().clone();
    assert_eq!(Checkpoint::verify(&note, &[stranger]), Err(NoteError::NoKnownKey.into()));
}

#[test]
fn a_checkpoint_of_another_log_is_refused() {
    // The key of one project signs a checkpoint in the name of another one.
    let signer = signer(ORIGIN, 1);
    let note = Checkpoint::new("streamio.example/zebra", 3, root()).unwrap().sign(&[&signer]).unwrap();
    let error = CheckpointError::NotSignedByOrigin("streamio.example/zebra".to_owned());
    assert_eq!(Checkpoint::verify(&note, &[signer.verifier_key().clone()]), Err(error));
}

#[test]
fn a_signed_text_that_is_no_checkpoint_is_refused() {
    let signer = signer(ORIGIN, 1);
    let note = SignedNote::sign(format!("{ORIGIN}\n1\n"), &[&signer]).unwrap();
    let error = CheckpointError::Text(InvalidCheckpoint::Root);
    assert_eq!(Checkpoint::verify(&note, &[signer.verifier_key().clone()]), Err(error));
}

proptest! {
    #[test]
    fn a_checkpoint_that_was_signed_is_read_and_verified(size in 1..=u64::MAX, root in any::<[u8; 32]>(), seed in any::<u8>()) {
        let signer = signer(ORIGIN, seed);
        let checkpoint = Checkpoint::new(ORIGIN, size, NodeHash::from_bytes(root)).unwrap();
        let note: SignedNote = checkpoint.sign(&[&signer]).unwrap().to_string().parse().unwrap();
        prop_assert_eq!(Checkpoint::verify(&note, &[signer.verifier_key().clone()]), Ok(checkpoint));
    }

    #[test]
    fn a_text_that_is_read_is_written_unchanged(text in "(a|é|\n){0,3}\n[0-9]{0,3}\n(47DEQpj8HBSa[+]/TImW[+]5JCeuQeRkm5NMpJWZG3hSuF[U-V]=)\n?(b|\n){0,4}") {
        if let Ok(checkpoint) = text.parse::<Checkpoint>() {
            prop_assert_eq!(checkpoint.to_string(), text);
        }
    }
}
