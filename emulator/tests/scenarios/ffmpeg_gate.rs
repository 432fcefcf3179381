//! An FFmpeg executable that waits while a gate is closed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// A wrapper script of FFmpeg. While the gate is closed, transcoding does not start.
pub(crate) struct FfmpegGate {
    folder: tempfile::TempDir,
    /// The path of the script.
    pub(crate) program: PathBuf,
}

impl FfmpegGate {
    /// Creates the script, with an open gate.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ffmpeg");
        // Only transcoding has the argument `-progress`. The script also ends when the worker that started it has ended.
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' -progress '*)\n  \
             while [ -e '{}' ] && kill -0 \"$PPID\" 2>/dev/null; do sleep 0.05; done;;\nesac\nexec ffmpeg \"$@\"\n",
            folder.path().join("closed").display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, program }
    }

    pub(crate) fn close(&self) {
        std::fs::write(self.folder.path().join("closed"), "").unwrap();
    }

    pub(crate) fn open(&self) {
        std::fs::remove_file(self.folder.path().join("closed")).unwrap();
    }
}
