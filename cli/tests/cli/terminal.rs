//! Runs the program on a pseudo-terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::Command;

/// What a person at the terminal sees.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) code: Option<i32>,
    /// Standard output and standard error, and the echo of what was typed.
    pub(crate) screen: String,
}

/// Runs `command` with all its standard streams on a terminal, on which a person has typed `typed`.
pub(crate) async fn run_on_terminal(mut command: Command, typed: &str) -> Session {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = File::from(rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap());
    let stream = || Stdio::from(terminal.try_clone().unwrap());
    command.stdin(stream()).stdout(stream()).stderr(stream());
    let mut child = command.spawn().expect("the program can be started");
    // The last holder of the terminal is then the program, whose end ends the reading below.
    drop((command, terminal));
    let mut controller = File::from(controller);
    controller.write_all(typed.as_bytes()).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let (mut screen, mut buffer) = (Vec::new(), [0; 4096]);
        // Linux reports the end of a terminal as an error.
        while let Ok(length @ 1..) = controller.read(&mut buffer) {
            screen.extend_from_slice(&buffer[..length]);
        }
        String::from_utf8(screen).expect("the screen is UTF-8").replace("\r\n", "\n")
    });
    let code = child.wait().await.expect("the program can be waited for").code();
    Session { code, screen: reading.await.unwrap() }
}
