use proptest::prelude::*;

use super::*;

/// The example of the specification.
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE_NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// The keys, text and signatures of the tests of Go's `golang.org/x/mod/sumdb/note`.
const PETER_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const ENOCH_KEY: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const GO_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn key(text: &str) -> VerifierKey {
    text.parse().unwrap()
}

fn note(text: &str) -> SignedNote {
    text.parse().unwrap()
}

fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::from_seed(name, &[seed; 32]).unwrap()
}

#[test]
fn the_example_of_the_specification_is_verified() {
    let keys = [key(EXAMPLE_KEY)];
    let note = note(EXAMPLE_NOTE);
    assert_eq!(note.verify(&keys), Ok(("This is an example message.\n", vec![&keys[0]])));
    assert_eq!((keys[0].to_string().as_str(), note.to_string().as_str()), (EXAMPLE_KEY, EXAMPLE_NOTE));
}

#[test]
fn notes_of_go_are_verified_with_the_keys_that_are_known() {
    let both = note(&format!("{GO_TEXT}\n{PETER}{ENOCH}"));
    let (peter, enoch) = (key(PETER_KEY), key(ENOCH_KEY));
    let keys = [enoch.clone(), peter.clone()];
    assert_eq!(both.verify(&keys), Ok((GO_TEXT, vec![&keys[1], &keys[0]])));
    assert_eq!(both.verify(&keys[1..]), Ok((GO_TEXT, vec![&peter])));
    assert_eq!(both.verify(&[key(EXAMPLE_KEY)]), Err(NoteError::NoKnownKey));
    assert_eq!(both.verify(&[]), Err(NoteError::NoKnownKey));
    let twice = note(&format!("{GO_TEXT}\n{PETER}{PETER}"));
    assert_eq!(twice.verify(&keys), Ok((GO_TEXT, vec![&peter])));
}

#[test]
fn the_signature_of_the_seed_of_go_is_the_same() {
    // The private key of `PeterNeumann` in the tests of Go is this seed.
    let seed: [u8; 32] = {
        use base64::Engine as _;
        let key = base64::engine::general_purpose::STANDARD
            .decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
            .unwrap();
        key[1..].try_into().unwrap()
    };
    let signer = NoteSigner::from_seed("PeterNeumann", &seed).unwrap();
    assert_eq!(signer.verifier_key(), &key(PETER_KEY));
    let note = SignedNote::sign(GO_TEXT, &[&signer]).unwrap();
    assert_eq!(note.to_string(), format!("{GO_TEXT}\n{PETER}"));
}

#[test]
fn a_wrong_signature_of_a_known_key_makes_the_note_invalid() {
    let both = note(&format!("{}\n{PETER}{ENOCH}", GO_TEXT.replace("answer", "remedy")));
    let error = NoteError::WrongSignature { name: "EnochRoot".to_owned(), id: 0xaf0c_fe78 };
    assert_eq!(both.verify(&[key(ENOCH_KEY)]), Err(error));
    // Another known key's valid signature does not make up for it.
    let other = signer("other", 7);
    let text = "text\n";
    let signature = SignedNote::sign(text, &[&other]).unwrap().signatures()[0].to_string();
    let mixed = note(&format!("{text}\n{signature}\n{PETER}"));
    let keys = [other.verifier_key().clone(), key(PETER_KEY)];
    assert!(matches!(mixed.verify(&keys), Err(NoteError::WrongSignature { .. })));
    assert_eq!(mixed.verify(&keys[..1]), Ok((text, vec![&keys[0]])));
}

#[test]
fn signatures_that_share_only_a_name_or_an_id_with_a_known_key_are_ignored() {
    let text = "text\n";
    let (known, namesake) = (signer("acme", 1), signer("acme", 2));
    let signed = SignedNote::sign(text, &[&namesake, &known]).unwrap();
    let keys = [known.verifier_key().clone()];
    assert_eq!(signed.verify(&keys), Ok((text, vec![&keys[0]])));
    let renamed = signed.to_string().replace("— acme", "— other");
    assert_eq!(note(&renamed).verify(&keys), Err(NoteError::NoKnownKey));
}

#[test]
fn texts_that_are_no_notes_are_refused() {
    let refused = |text: &str| text.parse::<SignedNote>().unwrap_err();
    let signature = PETER;
    for text in [
        String::new(),
        GO_TEXT.to_owned(),
        format!("{GO_TEXT}{signature}"),
        format!("\n{signature}"),
        format!("{GO_TEXT}\n"),
        format!("{GO_TEXT}\n{}", signature.trim_end()),
    ] {
        assert_eq!(refused(&text), InvalidNote::Unsigned, "{text:?}");
    }
    for line in [
        "\n",
        "- PeterNeumann x08go/ZJ\n",
        "—PeterNeumann x08go/ZJ\n",
        "— x08go/ZJ\n",
        "—  x08go/ZJ\n",
        "— Peter Neumann x08go/ZJ\n",
        "— Peter\u{a0}Neumann x08go/ZJ\n",
        "— Peter+Neumann x08go/ZJ\n",
        "— PeterNeumann x08goA==\n",
        "— PeterNeumann x08go/Z\n",
        "— PeterNeumann x08go/ZJ \n",
        "— PeterNeumann \n",
    ] {
        let text = format!("{GO_TEXT}\n{signature}{line}");
        let expected = if line == "\n" { InvalidNote::Unsigned } else { InvalidNote::SignatureLine(2) };
        assert_eq!(refused(&text), expected, "{line:?}");
    }
    assert_eq!(refused(&format!("a\tb\n\n{signature}")), InvalidNote::ControlCharacter);
    assert_eq!(refused(&format!("a\n\n{}", signature.replace('\n', "\r\n"))), InvalidNote::ControlCharacter);
    assert_eq!(refused(&format!("a\n\n{}", signature.repeat(101))), InvalidNote::Signatures);
    let long = format!("{}\n\n{signature}", "a".repeat(MAX_NOTE_BYTES));
    assert_eq!(refused(&long), InvalidNote::Size(long.len()));
}

#[test]
fn a_note_may_have_a_hundred_signatures_of_other_types() {
    let signature = format!("— witness.example {}\n", "A".repeat(2000));
    let text = format!("a\n\n\n{}{PETER}", signature.repeat(99));
    let note = note(&text);
    assert_eq!((note.unverified_text(), note.signatures().len(), note.to_string()), ("a\n\n", 100, text));
}

#[test]
fn texts_that_cannot_be_signed_are_refused() {
    let signer = signer("acme", 1);
    assert_eq!(SignedNote::sign("a", &[&signer]), Err(InvalidNote::UnfinishedText));
    assert_eq!(SignedNote::sign("", &[&signer]), Err(InvalidNote::UnfinishedText));
    assert_eq!(SignedNote::sign("a\0\n", &[&signer]), Err(InvalidNote::ControlCharacter));
    assert_eq!(SignedNote::sign("a\n", &[]), Err(InvalidNote::Unsigned));
    assert_eq!(SignedNote::sign("a\n", &[&signer; 101]), Err(InvalidNote::Signatures));
    let long = format!("{}\n", "a".repeat(MAX_NOTE_BYTES));
    assert!(matches!(SignedNote::sign(long, &[&signer]), Err(InvalidNote::Size(_))));
}

#[test]
fn verifier_keys_in_another_form_are_refused() {
    let refused = |text: &str| text.parse::<VerifierKey>().unwrap_err();
    for text in [
        "",
        "acme",
        "acme+530d903a",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "a b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+30d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
        "example.com/foo+530d903a+",
    ] {
        assert_eq!(refused(text), InvalidVerifierKey::Form, "{text:?}");
    }
    let mistyped = InvalidVerifierKey::Id { expected: 0x530d_903a };
    assert_eq!(refused(&EXAMPLE_KEY.replace("530d903a", "530d903b")), mistyped);
    assert!(matches!(refused(&EXAMPLE_KEY.replace("foo", "fop")), InvalidVerifierKey::Id { .. }));
    assert_eq!(refused(&EXAMPLE_KEY.replace("+Ae", "+Be")), InvalidVerifierKey::Type(5));
    assert_eq!(refused("example.com/foo+530d903a+AQ=="), InvalidVerifierKey::Key);
    // The neutral element: every signature with a certain form would be valid for every text.
    let weak = "example.com/foo+530d903a+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(refused(weak), InvalidVerifierKey::Key);
    assert_eq!(refused(&"a".repeat(5000)), InvalidVerifierKey::Form);
}

#[test]
fn a_key_has_a_name_that_fits_into_a_signature_line() {
    for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb", "a\u{1}b"] {
        assert_eq!(NoteSigner::from_seed(name, &[1; 32]).unwrap_err(), InvalidKeyName(name.to_owned()));
    }
}

#[test]
fn a_signer_does_not_show_its_seed() {
    let signer = signer("acme", 0xab);
    assert_eq!(format!("{signer:?}"), format!("NoteSigner({})", signer.verifier_key()));
}

proptest! {
    #[test]
    fn a_note_that_was_signed_is_read_and_verified(text in "([^\u{0}-\u{1f}]{0,20}\n){1,5}", name in "[^\u{0}-\u{1f}+\\s]{1,20}", seed in any::<[u8; 32]>()) {
        prop_assume!(name.chars().all(|c| !c.is_whitespace()));
        let signer = NoteSigner::from_seed(name, &seed).unwrap();
        let signed = SignedNote::sign(text.clone(), &[&signer]).unwrap();
        let read = note(&signed.to_string());
        prop_assert_eq!(&read, &signed);
        let keys = [key(&signer.verifier_key().to_string())];
        prop_assert_eq!(&keys[0], signer.verifier_key());
        prop_assert_eq!(read.verify(&keys), Ok((text.as_str(), vec![&keys[0]])));
    }

    #[test]
    fn a_note_with_a_changed_byte_is_not_verified(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut bytes = EXAMPLE_NOTE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let verified = String::from_utf8(bytes).is_ok_and(|text| {
            text.parse::<SignedNote>().is_ok_and(|note| note.verify(&[key(EXAMPLE_KEY)]).is_ok())
        });
        prop_assert!(!verified);
    }

    #[test]
    fn a_text_that_is_read_is_written_unchanged(text in "(a|\n|— a |— |x08go/ZJ|x08goA==| ){0,12}\n\n(— [a ]{1,2}x08go/ZJ\n){1,3}") {
        if let Ok(note) = text.parse::<SignedNote>() {
            prop_assert_eq!(note.to_string(), text);
        }
    }
}
