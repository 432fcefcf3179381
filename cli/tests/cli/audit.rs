use serde_json::Value;

use crate::events::change_an_event;
use crate::run::run_on;

#[tokio::test]
async fn verify_finds_a_changed_event_in_all_projects_or_in_one() {
    let data = tempfile::tempdir().unwrap();
    for project in ["acme", "zebra"] {
        run_on(data.path(), &["project", "create", project]).await.ok();
    }
    let intact = run_on(data.path(), &["audit", "verify"]).await.ok();
    let expected = "No change found: 2 streams with 4 events in 2 commits; 0 signed checkpoints of 0 commits; 2 commits have no checkpoint yet\n";
    assert_eq!(intact.stdout, expected, "no platform has run there");
    change_an_event(data.path());
    for arguments in [&["audit", "verify"][..], &["audit", "verify", "--project", "zebra"]] {
        let changed = run_on(data.path(), arguments).await;
        let finding = "the commit at version 1 of project/zebra was changed\n";
        assert_eq!((changed.code, changed.stdout.as_str()), (Some(1), finding));
        assert!(changed.stderr.contains("error: 1 finding"), "{changed:?}");
    }
    let other = run_on(data.path(), &["--json", "audit", "verify", "--project", "acme"]).await.ok();
    let other: Value = serde_json::from_str(&other.stdout).unwrap();
    assert_eq!(
        (&other["commits"], &other["findings"], &other["auditFindings"]),
        (&1.into(), &Value::Array(vec![]), &Value::Array(vec![]))
    );
}

#[tokio::test]
async fn recover_says_why_it_can_do_nothing() {
    let data = tempfile::tempdir().unwrap();
    run_on(data.path(), &["project", "create", "acme"]).await.ok();
    let unknown = run_on(data.path(), &["audit", "recover", "acm"]).await;
    assert!(unknown.code == Some(3) && unknown.stderr.contains("there is no project acm"), "{unknown:?}");
    let without_key = run_on(data.path(), &["audit", "recover", "acme"]).await;
    let message = "restore secrets.json and audit.json";
    assert!(without_key.code == Some(1) && without_key.stderr.contains(message), "{without_key:?}");
}
