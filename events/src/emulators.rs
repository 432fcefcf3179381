//! Local DynamoDB and Kinesis emulators for the tests of their adapters: third-party programs as child processes. Each
//! starts empty, on a port of the loopback interface that the system chooses.
//!
//! An emulator ends when its value is dropped, and also when this process is killed: a shell waits for the
//! end of a pipe that only this process holds.
//!
//! `STREAMIO_DYNOXIDE` names the program `dynoxide`, `STREAMIO_KINESIS` the script that runs kinesalite; `cargo xtask
//! test` sets both. Emulators do not enforce everything that AWS enforces; tests that depend on such a difference
//! state it.

use std::env;
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};

/// Maximum duration of a start. A few hundred milliseconds are usual.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Another process may take the port between its choice and its use.
const START_ATTEMPTS: u32 = 5;

/// The clients' region.
pub const REGION: &str = "us-east-1";
/// The clients' access key. Emulators check none.
pub const ACCESS_KEY_ID: &str = "emulated";
/// The secret of [`ACCESS_KEY_ID`].
pub const SECRET_ACCESS_KEY: &str = "emulated-secret";

/// A running DynamoDB emulator with streams, in memory.
#[derive(Debug)]
pub struct LocalDynamo(Server);

impl LocalDynamo {
    /// Starts an emulator.
    pub fn start() -> io::Result<Self> {
        let program = variable("STREAMIO_DYNOXIDE")?;
        Server::start(|port| {
            vec![
                program.clone(),
                "serve".into(),
                "--log".into(),
                "quiet".into(),
                "--port".into(),
                port.to_string(),
            ]
        })
        .map(Self)
    }

    /// The emulator's address, `http://127.0.0.1:{port}`.
    pub fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    /// Returns a new client, which shares nothing with others.
    pub fn client(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.endpoint())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(
                ACCESS_KEY_ID,
                SECRET_ACCESS_KEY,
                None,
                None,
                "emulators",
            ));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }
}

/// A running Kinesis emulator, in memory.
#[derive(Debug)]
pub struct LocalKinesis(Server);

impl LocalKinesis {
    /// Starts an emulator.
    pub fn start() -> io::Result<Self> {
        let script = variable("STREAMIO_KINESIS")?;
        Server::start_and_read_port(&["node".into(), script]).map(Self)
    }

    /// The emulator's address, `http://127.0.0.1:{port}`.
    pub fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    /// Returns a new client, which shares nothing with others.
    pub fn client(&self) -> aws_sdk_kinesis::Client {
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.endpoint())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(
                ACCESS_KEY_ID,
                SECRET_ACCESS_KEY,
                None,
                None,
                "emulators",
            ));
        aws_sdk_kinesis::Client::from_conf(config.build())
    }
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|_| {
        io::Error::other(format!(
            "{name} is not set: `cargo xtask test` sets it; `cargo xtask tools --print-env` prints it for a shell"
        ))
    })
}

#[derive(Debug)]
struct Server {
    /// The shell. The emulator ends with it.
    shell: Child,
    address: SocketAddr,
}

/// Runs its arguments until they end or its standard input is closed.
const GUARD: &str = r#""$@" </dev/null & child=$!
( wait_for_end() { cat >/dev/null; kill -KILL "$child" 2>/dev/null; }; wait_for_end ) <&3 & guard=$!
wait "$child" 2>/dev/null; status=$?; kill "$guard" 2>/dev/null; exit "$status""#;

/// A shell that runs `command` and ends it when its standard input, which is piped, is closed.
fn guarded(command: &[String]) -> Command {
    let mut shell = Command::new("sh");
    // A background job of a shell has no standard input, so it is passed as descriptor 3.
    shell.args(["-c", &format!("exec 3<&0; {GUARD}"), "sh"]).args(command).stdin(Stdio::piped());
    shell
}

impl Server {
    fn start(command: impl Fn(u16) -> Vec<String>) -> io::Result<Self> {
        let mut last = io::Error::other("no port");
        for _ in 0..START_ATTEMPTS {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            match Self::start_on(port, &command(port)) {
                Ok(server) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Starts a command that chooses a port by itself and prints it.
    fn start_and_read_port(command: &[String]) -> io::Result<Self> {
        let mut shell = guarded(command).stdout(Stdio::piped()).spawn()?;
        let output = shell.stdout.take().map(BufReader::new);
        let mut server = Self { shell, address: (Ipv4Addr::LOCALHOST, 0).into() };
        let (sender, line) = mpsc::channel();
        thread::spawn(move || sender.send(output.and_then(|output| output.lines().next())));
        let problem = |problem: &str| io::Error::other(format!("{} {problem}", command.join(" ")));
        let line = line.recv_timeout(START_TIMEOUT).map_err(|_| problem("prints no port"))?;
        let line = line.ok_or_else(|| problem("has ended without a port"))??;
        let port = line.parse().map_err(|_| problem(&format!("printed `{line}`, which is no port")))?;
        server.address.set_port(port);
        Ok(server)
    }

    fn start_on(port: u16, command: &[String]) -> io::Result<Self> {
        let shell = guarded(command).stdout(Stdio::null()).spawn()?;
        let mut server = Self { shell, address: (Ipv4Addr::LOCALHOST, port).into() };
        let started_at = Instant::now();
        while TcpStream::connect(server.address).is_err() {
            if let Some(status) = server.shell.try_wait()? {
                return Err(io::Error::other(format!("{} has ended: {status}", command.join(" "))));
            }
            if started_at.elapsed() > START_TIMEOUT {
                return Err(io::Error::other(format!("{} does not accept connections", command.join(" "))));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
