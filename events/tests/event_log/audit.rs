//! Every change of a chain is found.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use streamio_events::audit::{Finding, Verifier, verify};
use streamio_events::commit::{Commit, CommitHash, Head, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::id::CommitId;
use streamio_events::log::admit;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

fn stream() -> StreamId {
    "project/acme".parse().unwrap()
}

fn chain_of(stream: &StreamId, contents: &[Vec<Value>]) -> Vec<Commit> {
    let mut head = Head::EMPTY;
    let mut commits = Vec::new();
    for (n, datas) in contents.iter().enumerate() {
        let at = Timestamp::from_unix_seconds(1_767_323_045 + i64::try_from(n).unwrap());
        let event = |data: &Value| RecordedEvent {
            kind: "test.noted".to_owned(),
            version: 1,
            at,
            data: data.clone(),
            fact: None,
        };
        let new = NewCommit {
            id: CommitId::derived_from(&[&n.to_string()]),
            events: datas.iter().map(event).collect(),
            recorded_at: at,
        };
        commits.push(Commit::following(stream.clone(), head, admit(stream, new).unwrap()));
        head = commits.last().unwrap().head();
    }
    commits
}

fn data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\u{e9}\"\\\\]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn contents() -> impl Strategy<Value = Vec<Vec<Value>>> {
    vec(vec(data(), 1..4), 1..7)
}

fn head_of(chain: &[Commit]) -> Head {
    chain.last().map_or(Head::EMPTY, Commit::head)
}

/// Adds the JSON pointers of all leaves of `value` to `found`.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, field)| leaves(field, &format!("{at}/{name}"), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(n, item)| leaves(item, &format!("{at}/{n}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// A different value, of the same type if possible.
fn another(value: &Value, by: Index) -> Value {
    match value {
        Value::Null => json!(0),
        Value::Bool(yes) => json!(!yes),
        Value::Number(number) => json!(number.as_i64().unwrap() + 1 + i64::try_from(by.index(1000)).unwrap()),
        Value::String(text) if text.is_empty() => json!("a"),
        Value::String(text) => {
            let mut characters: Vec<char> = text.chars().collect();
            let at = by.index(characters.len());
            characters[at] = if characters[at] == '3' { '4' } else { '3' };
            json!(characters.into_iter().collect::<String>())
        }
        Value::Array(_) | Value::Object(_) => json!("no longer empty"),
    }
}

proptest! {
    #[test]
    fn an_unchanged_chain_leads_to_its_head(contents in contents(), known in any::<Index>()) {
        let chain = chain_of(&stream(), &contents);
        let head = head_of(&chain);
        prop_assert_eq!(verify(&stream(), &chain, None), Ok(head));
        prop_assert_eq!(verify(&stream(), &chain, Some(head)), Ok(head));
        // An earlier head: the stream has grown since.
        prop_assert_eq!(verify(&stream(), &chain, Some(known.get(&chain).head())), Ok(head));
        prop_assert_eq!(verify(&stream(), &chain, Some(Head::EMPTY)), Ok(head));
        let mut verifier = Verifier::new(stream(), Some(head));
        for commit in &chain {
            prop_assert_eq!(verifier.follow(commit), Ok(()));
        }
        prop_assert_eq!(verifier.finish(), Ok(head));
    }

    #[test]
    fn any_changed_value_is_found(contents in contents(), of in any::<Index>(), at in any::<Index>(), by in any::<Index>()) {
        let chain = chain_of(&stream(), &contents);
        let mut json: Vec<Value> = chain.iter().map(|commit| serde_json::to_value(commit).unwrap()).collect();
        let changed = of.index(json.len());
        let mut places = Vec::new();
        leaves(&json[changed], "", &mut places);
        let place = at.get(&places);
        let value = json[changed].pointer_mut(place).unwrap();
        *value = another(value, by);
        // A change that makes the commit unreadable is found by its reader.
        let read: Result<Vec<Commit>, _> = json.into_iter().map(serde_json::from_value).collect();
        // Another form of the same commit, such as an instant written in another way, is not a change.
        if let Ok(read) = read
            && read != chain
        {
            prop_assert!(verify(&stream(), &read, None).is_err(), "{} of commit {}", place, changed);
        }
    }

    #[test]
    fn any_flipped_bit_is_found(contents in contents(), at in any::<Index>(), bit in 0u8..8) {
        let chain = chain_of(&stream(), &contents);
        let mut bytes = serde_json::to_vec(&chain).unwrap();
        let flipped = at.index(bytes.len());
        bytes[flipped] ^= 1 << bit;
        if let Ok(read) = serde_json::from_slice::<Vec<Commit>>(&bytes)
            && read != chain
        {
            prop_assert!(verify(&stream(), &read, None).is_err(), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn a_missing_commit_is_found(contents in vec(vec(data(), 1..4), 2..7), without in any::<Index>()) {
        let whole = chain_of(&stream(), &contents);
        let known = head_of(&whole);
        let mut chain = whole.clone();
        chain.remove(without.index(chain.len() - 1));
        let gap = matches!(verify(&stream(), &chain, None), Err(Finding::Gap { .. }));
        prop_assert!(gap);

        let mut chain = whole;
        chain.pop();
        prop_assert_eq!(verify(&stream(), &chain, None), Ok(head_of(&chain)), "a truncated chain is valid");
        for remaining in [&chain[..], &[]] {
            let cut = Finding::CutTail {
                stream: stream(),
                known: known.version,
                found: head_of(remaining).version,
            };
            prop_assert_eq!(verify(&stream(), remaining, Some(known)), Err(cut));
        }
    }

    #[test]
    fn a_missing_event_within_a_commit_is_found(contents in vec(vec(data(), 2..4), 1..5), of in any::<Index>(), without in any::<Index>()) {
        let mut chain = chain_of(&stream(), &contents);
        let commit = of.index(chain.len());
        let events = &mut chain[commit].events;
        events.remove(without.index(events.len()));
        prop_assert!(verify(&stream(), &chain, None).is_err());
        chain[commit].events.clear();
        let finding = verify(&stream(), &chain, None);
        let malformed = matches!(finding, Err(Finding::Malformed { .. }));
        prop_assert!(malformed, "{:?}", finding);
    }

    #[test]
    fn a_changed_order_is_found(contents in vec(vec(data(), 1..4), 2..7), one in any::<Index>(), other in any::<Index>()) {
        let mut chain = chain_of(&stream(), &contents);
        let (one, other) = (one.index(chain.len()), other.index(chain.len()));
        prop_assume!(one != other);
        let mut doubled = chain.clone();
        doubled.insert(one, doubled[one].clone());
        prop_assert!(verify(&stream(), &doubled, None).is_err());
        chain.swap(one, other);
        prop_assert!(verify(&stream(), &chain, None).is_err());
    }

    #[test]
    fn a_commit_of_another_stream_is_found(contents in contents(), at in any::<Index>()) {
        let other: StreamId = "project/other".parse().unwrap();
        let mut chain = chain_of(&stream(), &contents);
        let at = at.index(chain.len());
        chain[at] = chain_of(&other, &contents)[at].clone();
        let finding = verify(&stream(), &chain, None);
        let named = matches!(&finding, Err(Finding::ForeignStream { found, .. }) if **found == other);
        prop_assert!(named, "{:?}", finding);
        prop_assert!(verify(&other, &chain, None).is_err() || chain.len() == 1);
    }

    #[test]
    fn a_replaced_beginning_is_found_at_the_next_commit(contents in vec(vec(data(), 1..4), 2..7), at in any::<Index>()) {
        let honest = chain_of(&stream(), &contents);
        let at = 1 + at.index(honest.len() - 1);
        let mut changed = contents;
        changed[at - 1][0] = json!([changed[at - 1][0]]);
        let mut chain = chain_of(&stream(), &changed);
        chain.truncate(at);
        chain.extend_from_slice(&honest[at..]);
        let broken = Finding::BrokenLink { stream: stream(), first: honest[at].first };
        prop_assert_eq!(verify(&stream(), &chain, None), Err(broken));
    }

    #[test]
    fn a_recomputed_history_is_found_by_a_known_head(contents in contents(), of in any::<Index>(), known in any::<Index>()) {
        let honest = chain_of(&stream(), &contents);
        let mut changed = contents;
        let commit = of.index(changed.len());
        changed[commit][0] = another(&changed[commit][0], of);
        let forged = chain_of(&stream(), &changed);
        prop_assert_eq!(verify(&stream(), &forged, None), Ok(head_of(&forged)), "a forged chain is valid");
        // Any head after the change reveals it.
        let known = honest[commit + known.index(honest.len() - commit)].head();
        let finding = verify(&stream(), &forged, Some(known));
        let replaced = matches!(finding, Err(Finding::Replaced { .. }));
        prop_assert!(replaced, "{:?}", finding);
    }
}

#[test]
fn a_known_version_within_a_commit_is_of_another_chain() {
    let chain = chain_of(&stream(), &[vec![json!(1), json!(2), json!(3)]]);
    let known = Head { version: 2, ..chain[0].head() };
    assert!(matches!(verify(&stream(), &chain, Some(known)), Err(Finding::Replaced { version: 2, .. })));
}

#[test]
fn impossible_versions_are_found_without_a_panic() {
    let chain = chain_of(&stream(), &[vec![json!(1)]]);
    for first in [0, 2, u64::MAX] {
        let commit = Commit { first, ..chain[0].clone() };
        assert!(
            matches!(verify(&stream(), [&commit], None), Err(Finding::Gap { expected: 1, .. })),
            "{first}"
        );
    }
    let known = Head { version: u64::MAX, hash: CommitHash::GENESIS };
    assert!(matches!(verify(&stream(), &chain, Some(known)), Err(Finding::CutTail { known: u64::MAX, .. })));
}

#[test]
fn findings_state_the_version_and_the_stream() {
    let mut chain = chain_of(&stream(), &[vec![json!(1)], vec![json!(2), json!(3)]]);
    chain[1].events[0].data = json!("forged");
    let finding = verify(&stream(), &chain, None).unwrap_err();
    assert_eq!(finding.to_string(), "the commit at version 2 of project/acme was changed");
}
