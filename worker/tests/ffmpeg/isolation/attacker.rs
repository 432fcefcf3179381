//! The attacking program, and what it needs to attack.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use streamio_worker::process::{Bounds, Invocation};
use streamio_worker::relay::{Input, Relay, Source};
use streamio_worker::sandbox::Sandbox;
use streamio_worker::storage::{Location, WholeObjectStore as _};
use tempfile::TempDir;

use super::super::directory_storage::DirectoryStorage;
use super::super::harness::RAW;
use super::compile;

/// `ENOSYS`: the error of a system call that the sandbox does not allow.
pub(super) const NO_SUCH_CALL: i32 = 38;

/// What the attacker may use.
pub(super) const BOUNDS: Bounds =
    Bounds { processor_time: Duration::from_secs(30), memory: 1 << 28, file: 1 << 20 };

/// The attacker with a relay that serves a source, a file that it must not reach and a scratch directory.
pub(super) struct Attacker {
    pub(super) program: PathBuf,
    pub(super) relay: Relay,
    /// A file outside the scratch directory that every user may read and write.
    pub(super) victim: PathBuf,
    scratch: PathBuf,
    _directory: TempDir,
}

impl Attacker {
    pub(super) async fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let program = compile(directory.path(), include_str!("attacker.c"));
        let storage = Arc::new(DirectoryStorage::new(&directory.path().join("objects")));
        let location = Location { bucket: RAW.into(), key: "clip".into() };
        storage.upload(RAW, &location.key, b"the bytes of a tenant");
        let info = storage.head(&location).await.unwrap().unwrap();
        let relay = Relay::start(Arc::new(Source::new(storage, location, info))).await.unwrap();
        let (victim, scratch) = (directory.path().join("victim"), directory.path().join("scratch"));
        std::fs::write(&victim, "secret").unwrap();
        std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o666)).unwrap();
        std::fs::create_dir(&scratch).unwrap();
        Self { program, relay, victim, scratch, _directory: directory }
    }

    /// Does `act` in `sandbox` and returns its exit status: 0, or the error number of the system.
    pub(super) async fn act(&self, sandbox: &Sandbox, act: &str, argument: &str) -> i32 {
        self.act_with(Some(self.relay.input()), sandbox, act, argument).await
    }

    /// Like [`act`](Self::act), as a reader of `input`.
    pub(super) async fn act_with(
        &self,
        input: Option<&Input>,
        sandbox: &Sandbox,
        act: &str,
        argument: &str,
    ) -> i32 {
        let scratch = tempfile::tempdir_in(&self.scratch).unwrap();
        sandbox.share_directory(scratch.path()).unwrap();
        let invocation = Invocation {
            directory: Some(scratch.path().to_owned()),
            input: input.cloned(),
            ..self.invocation(sandbox, act, argument)
        };
        let output = invocation.capture(Duration::from_mins(1), 1000).await.unwrap();
        output.end.status.code().unwrap_or_else(|| panic!("{act} {argument}: {output:?}"))
    }

    /// The attacker that does `act` without a source and a directory.
    pub(super) fn invocation(&self, sandbox: &Sandbox, act: &str, argument: &str) -> Invocation {
        Invocation {
            program: self.program.to_str().unwrap().to_owned(),
            args: vec![act.to_owned(), argument.to_owned()],
            directory: None,
            input: None,
            bounds: Some(BOUNDS),
            sandbox: sandbox.clone(),
        }
    }

    /// The form in which the attacker takes the URL of a source: `PORT/PATH`.
    pub(super) fn request(&self) -> String {
        self.relay.input().url().strip_prefix("http://127.0.0.1:").unwrap().to_owned()
    }
}
