//! What the operating system does not permit is named as such, with what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::fake_server::FakeServer;
use crate::run::{Run, api_key, run, streamio};

/// `nobody` on most systems.
const OTHER_USER: u32 = 65_534;

/// A directory that any user may enter, with a copy of the program, because that of the build may be in a folder that others may
/// not enter.
struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        set_mode(directory.path(), 0o755);
        let program = directory.path().join("streamio");
        fs::copy(env!("CARGO_BIN_EXE_streamio"), &program).unwrap();
        set_mode(&program, 0o755);
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs the program as a user without special rights: the superuser may do everything.
    async fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = streamio(arguments);
        let mut copy = tokio::process::Command::new(self.path("streamio"));
        copy.args(arguments).env_clear().current_dir(self.directory.path()).kill_on_drop(true);
        for (name, value) in command.as_std_mut().get_envs() {
            copy.env(name, value.unwrap_or_default());
        }
        copy.envs(variables.iter().copied()).stdin(std::process::Stdio::null());
        if rustix::process::geteuid().is_root() {
            copy.uid(OTHER_USER).gid(OTHER_USER);
        }
        run(copy).await
    }

    /// The transcript with the directory and the users replaced.
    fn transcript(&self, run: &Run) -> String {
        let text = run.transcript().replace(self.directory.path().to_str().unwrap(), "DIR");
        let user = if rustix::process::geteuid().is_root() { OTHER_USER } else { owner() };
        let text = text.replace(&format!(" by user {user}; it belongs to user {}", owner()), " by USER");
        text.replace(&format!(" by user {user}"), " by USER")
    }
}

fn owner() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_data_directory_of_another_user_is_named() {
    let scratch = Scratch::new();
    let data = scratch.path("data");
    let data = data.to_str().unwrap();
    let mut create = streamio(&["project", "create", "acme", "--data", data]);
    create.current_dir(scratch.directory.path());
    run(create).await.ok();
    set_mode(Path::new(data), 0o000);
    insta::assert_snapshot!(scratch.transcript(&scratch.run(&["project", "list", "--data", data], &[]).await), @r"
    exit 1
    --- stdout
    --- stderr
    error: permission denied: DIR/data may not be read and written to by USER; run the command as the user that owns the data directory, give your user access to it, or choose another directory with --data
    ");
    // With --json it is a member that programs can check.
    let json = scratch.run(&["events", "tail", "--json", "--data", data], &[]).await;
    assert_eq!((json.code, &json.error()["reason"]), (Some(1), &"permission_denied".into()));
    for arguments in [&["project", "create", "zebra"][..], &["key", "list", "acme"], &["events", "export"]] {
        let run = scratch.run(&[arguments, &["--data", data]].concat(), &[]).await;
        assert!(run.stderr.starts_with("error: permission denied: "), "{run:?}");
    }
    set_mode(Path::new(data), 0o755);
    set_mode(&scratch.path("data/log.db"), 0o000);
    let run = scratch.run(&["key", "list", "acme", "--data", data], &[]).await;
    assert!(run.stderr.contains("data"), "{run:?}");
    assert!(run.stderr.starts_with("error: permission denied: "), "{run:?}");
}

#[tokio::test]
async fn a_data_directory_that_may_not_be_created_is_named() {
    let scratch = Scratch::new();
    let locked = scratch.path("locked");
    fs::create_dir(&locked).unwrap();
    set_mode(&locked, 0o555);
    let data = locked.join("data");
    for arguments in [&["project", "create", "acme"][..], &["up", "--port", "0"]] {
        let run = scratch.run(&[arguments, &["--data", data.to_str().unwrap()]].concat(), &[]).await;
        let transcript = scratch.transcript(&run);
        assert!(transcript.starts_with("exit 1\n"), "{transcript}");
        let expected =
            "error: permission denied: DIR/locked may not be written to by USER; run the command as";
        assert!(transcript.contains(expected), "{transcript}");
    }
    assert!(!data.exists());
}

#[tokio::test]
async fn a_key_file_and_a_video_that_may_not_be_read_are_named() {
    let (scratch, server) = (Scratch::new(), FakeServer::start().await);
    for name in ["key", "clip.mp4"] {
        fs::write(scratch.path(name), "secret").unwrap();
        set_mode(&scratch.path(name), 0o000);
    }
    let key = scratch.run(&["video", "list", "--url", server.url(), "--api-key-file", "key"], &[]).await;
    insta::assert_snapshot!(scratch.transcript(&key), @r"
    exit 1
    --- stdout
    --- stderr
    error: cannot read the API key from key: Permission denied (os error 13); make the file readable for your user, for example with `chmod u+r`, or run the command as its owner
    ");
    let api_key = api_key();
    let variables = [("STREAMIO_API_KEY", api_key.reveal()), ("STREAMIO_URL", server.url())];
    let upload = scratch.run(&["upload", "clip.mp4"], &variables).await;
    insta::assert_snapshot!(scratch.transcript(&upload), @r"
    exit 1
    --- stdout
    --- stderr
    error: cannot read clip.mp4: Permission denied (os error 13); make the file and its folders readable for your user, or run the command as their owner
    ");
    assert!(server.requests("").is_empty());
}
