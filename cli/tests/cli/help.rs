use crate::run::{run, streamio};

/// The commands whose help is tested.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["up"],
    &["project"],
    &["project", "create"],
    &["project", "suspend"],
    &["project", "update"],
    &["key"],
    &["key", "create"],
    &["key", "revoke"],
    &["upload"],
    &["video"],
    &["video", "list"],
    &["video", "show"],
    &["video", "events"],
    &["video", "delete"],
    &["video", "update"],
    &["playback"],
    &["playback-url"],
    &["events"],
    &["events", "tail"],
    &["events", "export"],
    &["events", "feed"],
    &["events", "replay"],
    &["audit"],
    &["audit", "verify"],
    &["audit", "recover"],
    &["audit", "check-export"],
    &["audit", "watch"],
    &["dead-letters"],
    &["dead-letters", "list"],
    &["dead-letters", "redrive"],
    &["webhook"],
    &["webhook", "add"],
    &["webhook", "update"],
    &["webhook", "remove"],
    &["webhook", "rotate-secret"],
    &["webhook", "test"],
    &["webhook", "deliveries"],
    &["webhook", "recover"],
    &["webhook", "replay"],
    &["webhook", "cancel-replay"],
    &["backup"],
    &["restore"],
];

#[tokio::test]
async fn the_help_is_as_expected() {
    for command in COMMANDS {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let run = run(streamio(&arguments)).await.ok();
        insta::assert_snapshot!(
            format!("help {}", command.join(" ")).trim().replace([' ', '-'], "_"),
            run.stdout
        );
        assert_eq!(run.stderr, "");
    }
}

#[tokio::test]
async fn a_key_in_the_environment_is_not_in_the_help() {
    let key = crate::run::api_key();
    let mut command = streamio(&["upload", "--help"]);
    command.env("STREAMIO_API_KEY", key.reveal());
    assert!(!run(command).await.ok().stdout.contains(key.reveal()));
}

#[tokio::test]
async fn an_invalid_command_line_is_exit_code_2_as_text_and_as_json() {
    let plain = run(streamio(&["upload"])).await;
    insta::assert_snapshot!(plain.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      <FILE>

    Usage: streamio upload <FILE>

    For more information, try '--help'.
    ");
    let json = run(streamio(&["video", "show", "vid_1", "--json"])).await;
    assert_eq!((json.code, json.stdout.as_str()), (Some(2), ""));
    insta::assert_json_snapshot!(json.error(), @r#"
    {
      "exitCode": 2,
      "hint": "see `streamio --help`",
      "kind": "usage",
      "message": "invalid value 'vid_1' for '<VIDEO>': must be a source key (projects/PROJECT/clip.mp4) or a video id (vid_ followed by 26 of a-z and 2-7); `streamio video list` prints the source keys"
    }
    "#);
}
