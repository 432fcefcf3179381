//! `streamio store`.

use streamio_local::s3::{ObjectHeaders, Store, StoreOptions, Watch};

use crate::run::run_on;

#[tokio::test]
async fn check_names_what_is_wrong_and_repairs_the_index() {
    let data = tempfile::tempdir().unwrap();
    let none = run_on(data.path(), &["store", "check"]).await;
    assert_eq!(none.code, Some(3), "{none:?}");
    assert!(none.stderr.contains("holds no platform's data"), "{none:?}");

    run_on(data.path(), &["project", "create", "acme"]).await.ok();
    let lost = run_on(data.path(), &["store", "check"]).await;
    assert!(lost.code == Some(3) && lost.stderr.contains("or the directory s3 was lost"), "{lost:?}");

    let store = Store::open(data.path().join("s3"), StoreOptions::default()).await.unwrap();
    store.ensure_bucket("raw", Watch::Created).await.unwrap();
    store.put_bytes("raw", "film.mp4", ObjectHeaders::default(), "film").await.unwrap();
    let in_use = run_on(data.path(), &["store", "check"]).await;
    assert!(in_use.code == Some(1) && in_use.stderr.contains("the platform runs on"), "{in_use:?}");
    store.close().await;
    let intact = run_on(data.path(), &["store", "check", "--read"]).await.ok();
    assert_eq!(intact.stdout, "The index is intact: 1 objects with 4 B\n");

    std::fs::remove_file(data.path().join("s3/objects.db")).unwrap();
    let missing = run_on(data.path(), &["store", "check"]).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stdout.contains("rebuild it from the manifests with --repair"), "{missing:?}");
    assert!(missing.stderr.contains("error: 1 fault was found"), "{missing:?}");
    let repaired = run_on(data.path(), &["--json", "store", "check", "--repair"]).await.ok();
    let report: serde_json::Value = serde_json::from_str(&repaired.stdout).unwrap();
    assert_eq!((&report["index"], &report["objects"]), (&"rebuilt".into(), &1.into()), "{report}");
}
