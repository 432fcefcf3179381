//! Commands with `--aws` against a fake STS: which account they name, and that they ask before a change. What they do is tested on the
//! emulated cloud.

use std::path::Path;

use tokio::process::Command;

use crate::fake_server::{FakeServer, Fault};
use crate::run::{run, streamio};
use crate::terminal::run_on_terminal;

const CREATE: [&str; 4] = ["project", "create", "acme", "--aws"];
const WEBHOOK: &str = "whk_aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A server that says `times` times whose credentials it was asked with.
async fn sts(times: usize) -> FakeServer {
    let server = FakeServer::start().await;
    let body = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::111122223333:user/operator</Arn><UserId>AIDAEXAMPLE</UserId><Account>111122223333</Account>\
         </GetCallerIdentityResult></GetCallerIdentityResponse>";
    let answer = Fault::Respond(200, vec![("content-type", "text/xml".to_owned())], body.to_owned());
    server.inject("POST /", std::iter::repeat_n(answer, times));
    server
}

/// The program in `directory` with the credentials of an operator.
fn operator(server: &FakeServer, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = streamio(arguments);
    command
        .current_dir(directory)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "example")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", server.url());
    command
}

/// Whether anything beside STS was called.
fn has_changed_nothing(server: &FakeServer) -> bool {
    let requests = server.requests("");
    requests.iter().all(|it| it.body.starts_with(b"Action=GetCallerIdentity"))
}

#[tokio::test]
async fn without_a_terminal_nothing_is_changed_unless_yes_is_given() {
    let (server, scratch) = (sts(19).await, tempfile::tempdir().unwrap());
    let refused = run(operator(&server, scratch.path(), &CREATE)).await;
    insta::assert_snapshot!(refused.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    AWS account 111122223333, region eu-west-1, tables streamio-ledger and streamio-views, as arn:aws:iam::111122223333:user/operator
    error: the project acme was not created: there is no terminal to ask for a confirmation; add --yes to create it without a question
    ");
    let key = "key_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    for arguments in [
        &["project", "suspend", "acme", "--aws"][..],
        &["project", "update", "acme", "--title", "Acme", "--aws"],
        &["project", "resume", "acme", "--aws"],
        &["key", "create", "acme", "--aws"],
        &["key", "revoke", "acme", key, "--aws", "--json"],
        &["webhook", "disable", WEBHOOK, "--aws", "--project", "acme"],
        &["webhook", "enable", WEBHOOK, "--aws", "--project", "acme"],
        &["webhook", "remove", WEBHOOK, "--aws", "--project", "acme"],
        &["webhook", "recover", WEBHOOK, "--since", "2026-01-02T03:04:05Z", "--aws", "--project", "acme"],
        &["webhook", "replay", WEBHOOK, "--from", "0", "--aws", "--project", "acme"],
        &["webhook", "cancel-replay", WEBHOOK, "--aws", "--project", "acme"],
    ] {
        let refused = run(operator(&server, scratch.path(), arguments)).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:?}");
        assert!(refused.stderr.contains("AWS account 111122223333, region eu-west-1"), "{refused:?}");
    }
    assert!(has_changed_nothing(&server));
}

#[tokio::test]
async fn on_a_terminal_a_change_is_asked_about_and_no_is_the_default() {
    let (server, scratch) = (sts(2).await, tempfile::tempdir().unwrap());
    for answer in ["\n", "n\n"] {
        let session = run_on_terminal(operator(&server, scratch.path(), &CREATE), answer).await;
        assert_eq!(session.code, Some(1), "{session:?}");
        assert!(session.screen.contains("AWS account 111122223333"), "{session:?}");
        assert!(session.screen.contains("Create the project acme? [y/N] "), "{session:?}");
    }
    assert!(has_changed_nothing(&server));
}

#[tokio::test]
async fn the_settings_come_from_the_file_and_another_account_is_refused() {
    let (server, scratch) = (sts(3).await, tempfile::tempdir().unwrap());
    let file = "[aws]\nregion = \"us-west-2\"\nledger_table = \"video-log\"\nviews_table = \"video-views\"\n";
    std::fs::write(scratch.path().join("streamio.toml"), file).unwrap();
    let of_file = |arguments: &[&str]| {
        let mut command = operator(&server, scratch.path(), arguments);
        command.env_remove("AWS_REGION").env("STREAMIO_VIEWS_TABLE", "other-views");
        command
    };
    let stated = run(of_file(&CREATE)).await;
    assert!(stated.stderr.contains("region us-west-2, tables video-log and other-views,"), "{stated:?}");
    let region = run(of_file(&[&CREATE[..], &["--region", "eu-north-1"]].concat())).await;
    assert!(region.stderr.contains("region eu-north-1"), "{region:?}");
    let other = "[aws]\nregion = \"us-west-2\"\naccount = \"999988887777\"\n";
    std::fs::write(scratch.path().join("other.toml"), other).unwrap();
    let refused = run(of_file(&[&CREATE[..], &["--yes", "--config", "other.toml"]].concat())).await;
    insta::assert_snapshot!(refused.transcript(), @r"
    exit 1
    --- stdout
    --- stderr
    error: the credentials are of the AWS account 111122223333, and the settings state 999988887777; use credentials of the stated account, for example with --profile
    ");
    assert!(has_changed_nothing(&server));
}

#[tokio::test]
async fn a_data_directory_and_aws_exclude_each_other_and_a_variable_does_not() {
    let (server, scratch) = (sts(1).await, tempfile::tempdir().unwrap());
    let both = run(operator(&server, scratch.path(), &["project", "list", "--aws", "--data", "x"])).await;
    assert_eq!(both.code, Some(2), "{both:?}");
    assert!(both.stderr.contains("--data <DIR>"), "{both:?}");
    let alone = run(operator(&server, scratch.path(), &["project", "list", "--region", "eu-west-1"])).await;
    assert!(alone.code == Some(2) && alone.stderr.contains("--aws"), "{alone:?}");
    let mut command = operator(&server, scratch.path(), &CREATE);
    command.env("STREAMIO_DATA", scratch.path().join("data"));
    let of_variable = run(command).await;
    assert!(of_variable.stderr.contains("AWS account 111122223333"), "{of_variable:?}");
    assert!(!scratch.path().join("data").exists());
}

#[tokio::test]
async fn a_missing_region_and_refused_credentials_say_what_to_do() {
    let (server, scratch) = (FakeServer::start().await, tempfile::tempdir().unwrap());
    let mut command = operator(&server, scratch.path(), &["project", "list", "--aws"]);
    command.env_remove("AWS_REGION");
    insta::assert_snapshot!(run(command).await.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    error: there is no AWS region; state --region, set AWS_REGION, or write `region` into streamio.toml
    ");
    let body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>\
         <Message>The security token included in the request is invalid.</Message></Error></ErrorResponse>";
    let answer = Fault::Respond(403, vec![("content-type", "text/xml".to_owned())], body.to_owned());
    server.inject("POST /", [answer]);
    let refused = run(operator(&server, scratch.path(), &["project", "list", "--aws"])).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("AWS does not say whose account this is"), "{refused:?}");
    assert!(refused.stderr.contains("InvalidClientTokenId"), "{refused:?}");
    assert!(refused.stderr.contains("`aws sts get-caller-identity` must answer"), "{refused:?}");
}

#[tokio::test]
async fn webhooks_on_aws_are_those_of_a_project_and_not_of_an_api_key() {
    let (server, scratch) = (sts(0).await, tempfile::tempdir().unwrap());
    for (arguments, missing) in [
        (&["webhook", "list", "--aws"][..], "--project <PROJECT>"),
        (&["webhook", "list", "--project", "acme"], "--aws"),
        (&["webhook", "show", WEBHOOK, "--region", "eu-west-1"], "--aws"),
        (&["webhook", "list", "--aws", "--project", "acme", "--api-key", "x"], "--api-key"),
    ] {
        let refused = run(operator(&server, scratch.path(), arguments)).await;
        assert!(refused.code == Some(2) && refused.stderr.contains(missing), "{refused:?}");
    }
    assert_eq!(server.requests("").len(), 0);
}

/// A stated profile is meant, whichever keys the environment has.
#[tokio::test]
async fn the_credentials_of_a_stated_profile_precede_those_of_the_environment() {
    let (server, scratch) = (sts(2).await, tempfile::tempdir().unwrap());
    let file = scratch.path().join("credentials");
    std::fs::write(
        &file,
        "[production]\naws_access_key_id = AKIAPRODUCTION\naws_secret_access_key = example\n",
    )
    .unwrap();
    for (arguments, key) in [(&[][..], "AKIAEXAMPLE"), (&["--profile", "production"], "AKIAPRODUCTION")] {
        let mut command = operator(&server, scratch.path(), &[&CREATE[..], arguments].concat());
        command.env("AWS_SHARED_CREDENTIALS_FILE", &file).env("AWS_CONFIG_FILE", scratch.path().join("none"));
        let refused = run(command).await;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        let requests = server.requests("");
        let signed = &requests.last().unwrap().headers["authorization"];
        assert!(signed.contains(&format!("Credential={key}/")), "{signed}");
    }
}
