use std::path::Path;

use serde_json::json;
use streamio_events::api_key::ApiKey;

use crate::run::{Run, normalized, run, streamio};

async fn run_on(data: &Path, arguments: &[&str]) -> Run {
    let mut command = streamio(arguments);
    command.arg("--data").arg(data);
    run(command).await
}

/// The transcript with keys, ids, times and the directory replaced, for a snapshot.
fn transcript(run: &Run, data: &Path) -> String {
    let text = normalized(&run.transcript(), &[(data.to_str().unwrap(), "DATA")]);
    let word = |word: &str| {
        let bare = word.trim_end_matches([' ', '\n']);
        let kept = &word[bare.len()..];
        let (prefix, last) =
            bare.rsplit_once('=').map_or(("", bare), |(name, value)| (&bare[..=name.len()], value));
        if last.parse::<ApiKey>().is_ok() {
            format!("{prefix}sio_KEY{kept}")
        } else if last.starts_with("key_") && last.len() == 30 {
            format!("{prefix}key_ID{kept}")
        } else if last.parse::<streamio_events::timestamp::Timestamp>().is_ok() {
            format!("{prefix}TIME{kept}")
        } else {
            word.to_owned()
        }
    };
    text.split_inclusive([' ', '\n']).map(word).collect()
}

#[tokio::test]
async fn a_project_is_created_and_its_key_is_shown_once() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let created = run_on(&data, &["project", "create", "acme", "--title", "Acme Films"]).await.ok();
    insta::assert_snapshot!(transcript(&created, &data), @r"
    exit 0
    --- stdout
    Created the project acme

    API key key_ID (shown only once; only its hash is stored):
      sio_KEY

    Use it:
      export STREAMIO_API_KEY=sio_KEY
      streamio upload clip.mp4 --wait
    --- stderr
    Created the data directory DATA
    ");
    let other = run_on(&data, &["project", "create", "zebra", "--json"]).await.ok().json();
    assert_eq!(other["projectId"], "zebra");
    let key: ApiKey = other["apiKey"].as_str().unwrap().parse().unwrap();
    assert_eq!(other["keyId"], key.hash().key_id().as_str());
    for arguments in [
        &["project", "show", "zebra"][..],
        &["key", "list", "zebra"],
        &["events", "tail"],
        &["events", "export"],
    ] {
        let shown = run_on(&data, arguments).await.ok();
        assert!(!shown.stdout.contains(key.reveal()), "{shown:?}");
    }
}

#[tokio::test]
async fn projects_are_listed_shown_suspended_and_resumed() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    run_on(&data, &["project", "create", "acme", "--title", "Acme Films"]).await.ok();
    run_on(&data, &["project", "create", "zebra"]).await.ok();
    insta::assert_snapshot!(transcript(&run_on(&data, &["project", "suspend", "acme", "--reason", "unpaid"]).await, &data), @r"
    exit 0
    --- stdout
    acme is suspended: the API refuses its keys
    --- stderr
    ");
    insta::assert_snapshot!(transcript(&run_on(&data, &["project", "list"]).await, &data), @r"
    exit 0
    --- stdout
    PROJECT  STATE      KEYS  CREATED                   TITLE
    acme     suspended  1     TIME  Acme Films
    zebra    active     1     TIME
    --- stderr
    ");
    insta::assert_snapshot!(transcript(&run_on(&data, &["project", "show", "acme"]).await, &data), @r"
    exit 0
    --- stdout
    Project: acme
    Title:   Acme Films
    State:   suspended
    Created: TIME

    KEY                             SCOPES                      CREATED                   EXPIRES  REVOKED  LABEL
    key_ID  upload,playback,read,admin  TIME                    first key
    --- stderr
    ");
    assert_eq!(run_on(&data, &["project", "list", "--json"]).await.ok().json()["data"][0]["suspended"], true);
    run_on(&data, &["project", "resume", "acme"]).await.ok();
    assert_eq!(run_on(&data, &["project", "show", "acme", "--json"]).await.ok().json()["suspended"], false);
}

#[tokio::test]
async fn a_project_is_set_to_accept_truncated_files_and_shows_it() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    run_on(&data, &["project", "create", "acme"]).await.ok();
    let nothing = run_on(&data, &["project", "update", "acme"]).await;
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    assert!(nothing.stderr.contains("--allow-truncated"), "{nothing:?}");
    let update = ["project", "update", "acme", "--title", "Acme Films", "--allow-truncated", "true"];
    insta::assert_snapshot!(transcript(&run_on(&data, &update).await, &data), @r"
    exit 0
    --- stdout
    Project:         acme
    Title:           Acme Films
    State:           active
    Created:         TIME
    Truncated files: become shorter videos with a warning

    KEY                             SCOPES                      CREATED                   EXPIRES  REVOKED  LABEL
    key_ID  upload,playback,read,admin  TIME                    first key
    --- stderr
    ");
    run_on(&data, &["project", "update", "acme", "--allow-truncated", "false"]).await.ok();
    let shown = run_on(&data, &["project", "show", "acme", "--json"]).await.ok().json();
    assert_eq!((&shown["allowTruncated"], &shown["name"]), (&json!(false), &json!("Acme Films")));
}

#[tokio::test]
async fn keys_are_created_listed_and_revoked() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    run_on(&data, &["project", "create", "acme"]).await.ok();
    let arguments = [
        "key",
        "create",
        "acme",
        "--scope",
        "read,upload",
        "--scope",
        "read",
        "--label",
        "ci",
        "--expires-in",
        "90d",
        "--json",
    ];
    let made = run_on(&data, &arguments).await.ok().json();
    let id = made["keyId"].as_str().unwrap();
    let listed = run_on(&data, &["key", "list", "acme", "--json"]).await.ok().json();
    let key = listed["data"].as_array().unwrap().iter().find(|key| key["keyId"] == id).unwrap();
    assert_eq!((&key["scopes"], &key["label"]), (&json!(["upload", "read"]), &json!("ci")));
    assert!(key["expiresAt"].is_string());
    let revoked =
        run_on(&data, &["key", "revoke", "acme", id, "--reason", "leaked", "--json"]).await.ok().json();
    assert!(revoked["revokedAt"].is_string() && revoked["keyId"] == id);
}

#[tokio::test]
async fn a_whole_api_key_in_place_of_its_id_is_not_printed() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let made = run_on(&data, &["project", "create", "acme", "--json"]).await.ok().json();
    let (key, id) = (made["apiKey"].as_str().unwrap(), made["keyId"].as_str().unwrap());
    let refused = run_on(&data, &["key", "revoke", "acme", key]).await;
    insta::assert_snapshot!(refused.transcript().replace(id, "key_ID"), @r"
    exit 2
    --- stdout
    --- stderr
    error: KEY_ID is the id of an API key, not the API key itself, which other users of this machine can see in a command line; its id is key_ID: run `streamio key revoke acme key_ID`
    ");
    let cut = run_on(&data, &["key", "revoke", "acme", &key[..key.len() - 1]]).await;
    insta::assert_snapshot!(cut.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    error: KEY_ID is the id of an API key, not the API key itself, which other users of this machine can see in a command line; find the key's id with `streamio key list acme`
    ");
    let keys = run_on(&data, &["key", "list", "acme", "--json"]).await.ok().json();
    assert!(keys["data"][0]["revokedAt"].is_null(), "{keys}");
}

#[tokio::test]
async fn a_missing_project_key_or_directory_is_exit_code_3() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let mut lines = String::new();
    let missing = run_on(&data, &["project", "list"]).await;
    assert!(!data.exists());
    run_on(&data, &["project", "create", "acme"]).await.ok();
    let key = "key_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let others = [
        run_on(&data, &["project", "show", "unknown"]).await,
        run_on(&data, &["key", "create", "unknown"]).await,
        run_on(&data, &["key", "revoke", "acme", key]).await,
        run_on(&data, &["project", "create", "acme"]).await,
        run_on(&data, &["project", "create", "ACME"]).await,
        run_on(&data, &["key", "create", "acme", "--scope", "root"]).await,
    ];
    for run in [missing].iter().chain(&others) {
        lines.push_str(&transcript(run, &data));
    }
    insta::assert_snapshot!(lines, @r"
    exit 3
    --- stdout
    --- stderr
    error: DATA holds no platform's data; name the platform's directory with --data; `streamio up` or `streamio project create` creates one
    exit 3
    --- stdout
    --- stderr
    error: there is no project unknown; list the projects with `streamio project list`
    exit 3
    --- stdout
    --- stderr
    error: there is no project unknown; list the projects with `streamio project list`
    exit 3
    --- stdout
    --- stderr
    error: the project acme has no key key_aaaaaaaaaaaaaaaaaaaaaaaaaa; list the keys with `streamio key list acme`
    exit 1
    --- stdout
    --- stderr
    error: the project acme exists already; choose another name, or create a key with `streamio key create acme`
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'ACME' for '<NAME>': not a project id: 3 to 40 of a-z, 0-9 and -, neither beginning nor ending with -

    For more information, try '--help'.
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'root' for '--scope <SCOPE>': must be upload, playback, read or admin

    For more information, try '--help'.
    ");
}
