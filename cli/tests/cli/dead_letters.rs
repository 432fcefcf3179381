//! Dead letters of a data directory on which no platform runs.

use crate::run::{run, run_on, streamio};

#[tokio::test]
async fn a_directory_without_dead_letters_says_so() {
    let data = tempfile::tempdir().unwrap();
    run_on(data.path(), &["project", "create", "acme"]).await.ok();
    let list = run_on(data.path(), &["dead-letters", "list"]).await.ok();
    assert_eq!(list.stdout, "There are no such dead letters.\n");
    let json = run_on(data.path(), &["dead-letters", "list", "--json"]).await.ok().json();
    assert_eq!(json, serde_json::json!({ "data": [] }));
    let all = run_on(data.path(), &["dead-letters", "redrive", "--all", "--json"]).await.ok().json();
    assert_eq!(all, serde_json::json!({ "handled": 0, "failed": [] }));
}

#[tokio::test]
async fn a_dead_letter_that_does_not_exist_is_exit_code_3() {
    let data = tempfile::tempdir().unwrap();
    run_on(data.path(), &["project", "create", "acme"]).await.ok();
    for command in ["show", "redrive"] {
        let absent = run_on(data.path(), &["dead-letters", command, "react", "1042"]).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(absent.transcript(), @r"
            exit 3
            --- stdout
            --- stderr
            error: there is no dead letter 1042 of react; it may have been handled since; list them with `streamio dead-letters list`
            ");
        }
    }
}

#[tokio::test]
async fn what_to_redrive_is_stated_and_a_function_is_a_known_one() {
    for (arguments, expected) in [
        (&["redrive"][..], "<FUNCTION>"),
        (&["redrive", "react"], "<ID>"),
        (&["redrive", "react", "1", "--all"], "cannot be used with"),
        (
            &["redrive", "react", "1", "--function", "views"],
            "the filters select among all dead letters; add --all",
        ),
        (&["list", "--function", "view"], "must be one of uploads, intake, react, views, tasks, webhooks"),
        (&["list", "--since", "monday"], "--since"),
    ] {
        let refused = run(streamio(&[&["dead-letters"][..], arguments].concat())).await;
        assert!(refused.code == Some(2) && refused.stderr.contains(expected), "{refused:?}");
    }
}
