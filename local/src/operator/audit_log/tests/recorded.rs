//! Histories that were computed again, with checkpoints that were signed earlier.

use streamio_events::event::AuditCheckpointed;

use super::*;

/// The numbers of acme's commits that a signed and a forged history have in another order.
const SWAPPED: (u64, u64) = (300, 302);

/// Makes a log of acme with two recorded checkpoints, of 100 and 300 commits, and returns the files of its tree of the first one.
async fn make_recorded(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let operator = Operator::open(path, IfMissing::Create).unwrap();
    let secrets = Secrets::load_or_generate(&operator.data_dir).unwrap();
    audit_log::keys(&operator.data_dir, &secrets, "http://streamio.example").unwrap();
    let mut first = BTreeMap::new();
    for number in 0..100 {
        append(&operator, 2 * number).await;
    }
    for size in [100, 300] {
        integrate(&operator).await;
        if size == 100 {
            first = contents(&path.join("audit/acme"));
        }
        let note = std::fs::read_to_string(path.join("audit/acme/checkpoint")).unwrap();
        record(&operator, size, note).await;
        for number in size..299 {
            append(&operator, 2 * number).await;
        }
    }
    integrate(&operator).await;
    first
}

/// Records a checkpoint as the platform does.
async fn record(operator: &Operator, size: u64, checkpoint: String) {
    let at = Timestamp::from_unix_seconds(1_767_400_000);
    let event = AuditCheckpointed { size, checkpoint };
    let new = NewCommit::new(CommitId::derived_from(&["recorded", &size.to_string()]), at, [event.into()]);
    operator.log.append(&StreamId::Audit(project("acme")), Expected::Any, new).await.unwrap();
}

/// Makes the same log in another order and with correct chains, with these numbers of the recorded checkpoints, and the secrets and settings of the
/// signed one.
async fn forge(signed: &Path, forged: &Path, recorded: &[u64]) {
    let operator = Operator::open(forged, IfMissing::Create).unwrap();
    let events = Operator::open(signed, IfMissing::Fail).unwrap().log;
    let events = events.read(&StreamId::Audit(project("acme")), 1, 10).await.unwrap().commits;
    let events: Vec<AuditCheckpointed> =
        events.iter().map(|commit| commit.events[0].read().unwrap().unwrap()).collect();
    for number in 0..299 {
        if let Some(event) = events.iter().find(|event| event.size == number && recorded.contains(&number)) {
            record(&operator, event.size, event.checkpoint.clone()).await;
        }
        append(
            &operator,
            match 2 * number {
                number if number == SWAPPED.0 => SWAPPED.1,
                number if number == SWAPPED.1 => SWAPPED.0,
                other => other,
            },
        )
        .await;
    }
    for event in events.into_iter().filter(|event| event.size == 300 && recorded.contains(&300)) {
        record(&operator, event.size, event.checkpoint).await;
    }
    for name in ["secrets.json", "audit.json"] {
        std::fs::copy(signed.join(name), forged.join(name)).unwrap();
    }
}

/// The chains can be computed again without the key, and each recorded checkpoint can be put in the place of the last one.
#[tokio::test]
async fn a_forged_history_with_an_older_or_no_checkpoint_is_found_by_the_recorded_ones() {
    let signed = tempfile::tempdir().unwrap();
    let old = make_recorded(signed.path()).await;
    assert_eq!(verify(signed.path()).await, [""; 0]);
    let among = "acme: a commit from 100 to 299 of the feed was changed, removed or inserted";
    let replaced = "acme: the checkpoint is of 100 commits, and the checkpoint that version 2 of audit/acme records is of 300: an older one was put in its place";
    let missing = "acme: the checkpoint is missing, and the checkpoint that version 2 of audit/acme records is of 300 commits: it was removed";
    for (files, of_checkpoint) in [(&old, replaced), (&BTreeMap::new(), missing)] {
        let forged = tempfile::tempdir().unwrap();
        forge(signed.path(), forged.path(), &[100, 300]).await;
        write(&forged.path().join("audit/acme"), files);
        let operator = Operator::open(forged.path(), IfMissing::Fail).unwrap();
        let found = verified(&operator, None).await;
        assert_eq!(found.chains.findings, [""; 0], "the chains are sound");
        assert!(found.audit_findings.iter().any(|finding| finding == of_checkpoint), "{found:?}");
        assert!(found.audit_findings.iter().any(|finding| finding.starts_with(among)), "{found:?}");
        operator.recover_checkpoint(&project("acme")).await.unwrap_err();
    }
    // With tiles of the larger tree, also where the newer recorded checkpoint was removed.
    let forged = tempfile::tempdir().unwrap();
    forge(signed.path(), forged.path(), &[100]).await;
    let mut files = contents(&signed.path().join("audit/acme"));
    files.insert("checkpoint".to_owned(), old["checkpoint"].clone());
    write(&forged.path().join("audit/acme"), &files);
    let found = verify(forged.path()).await;
    let tile = "acme: tile/entries/000, of a larger tree than the checkpoint's, does not match the commits: its item 151";
    assert!(found.iter().any(|finding| finding.starts_with(tile)), "{found:?}");
}

#[tokio::test]
async fn a_lost_checkpoint_is_recovered_from_the_recorded_ones_and_a_backup_has_the_newest() {
    let scratch = tempfile::tempdir().unwrap();
    let old = make_recorded(scratch.path()).await;
    let size = |path: &Path| {
        let note = std::fs::read_to_string(path.join("audit/acme/checkpoint")).unwrap();
        note.lines().nth(1).unwrap().to_owned()
    };
    let operator = Operator::open(scratch.path(), IfMissing::Fail).unwrap();
    assert_eq!(operator.recover_checkpoint(&project("acme")).await.unwrap(), None, "nothing is lost");
    for files in [old, BTreeMap::new()] {
        std::fs::remove_dir_all(scratch.path().join("audit")).unwrap();
        write(&scratch.path().join("audit/acme"), &files);
        let [finding] = &verify(scratch.path()).await[..] else { panic!("one finding") };
        assert!(finding.contains("version 2 of audit/acme records is of 300"), "{finding}");
        if !files.is_empty() {
            // As if it was signed and recorded while the backup was made.
            let backup = tempfile::tempdir().unwrap();
            let to = backup.path().join("backup");
            crate::backup::back_up(scratch.path(), &to, std::sync::Arc::new(|_, _| ())).await.unwrap();
            assert_eq!(size(&to), "300");
        }
        assert_eq!(operator.recover_checkpoint(&project("acme")).await.unwrap(), Some(300));
        assert_eq!(size(scratch.path()), "300");
        integrate(&operator).await;
        assert_eq!((size(scratch.path()).as_str(), verify(scratch.path()).await), ("301", vec![]));
    }
}
