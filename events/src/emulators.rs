//! DynamoDB and Kinesis on this machine, for the tests of their adapters: other people's emulations as child processes,
//! empty at their start, on ports of the loopback interface that the system chose.
//!
//! Each ends when its value is dropped, and also when this process is gone without a word: a shell beside it waits for the
//! end of a pipe that only this process holds.
//!
//! `STREAMIO_DYNOXIDE` names the program `dynoxide`, `STREAMIO_KINESIS` the script that runs kinesalite;
//! `cargo xtask test` sets both. Emulations are no oracles: what they do not enforce is named where it is relied on.

use std::env;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};

/// How long a start may take. It takes a few hundred milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Another process may take the port between its choice and its use.
const TRIES: u32 = 5;

/// The region that the clients name.
pub const REGION: &str = "us-east-1";
/// An access key that emulations accept: they check none.
pub const ACCESS_KEY_ID: &str = "emulated";
/// The secret that belongs to it.
pub const SECRET_ACCESS_KEY: &str = "emulated-secret";

/// A running DynamoDB, with streams, in memory.
#[derive(Debug)]
pub struct LocalDynamo(Server);

impl LocalDynamo {
    /// Starts one.
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

    /// Its address, `http://127.0.0.1:{port}`.
    pub fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    /// A client of it, which shares nothing with others.
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

/// A running Kinesis, in memory.
#[derive(Debug)]
pub struct LocalKinesis(Server);

impl LocalKinesis {
    /// Starts one.
    pub fn start() -> io::Result<Self> {
        let script = variable("STREAMIO_KINESIS")?;
        Server::start(|port| vec!["node".into(), script.clone(), port.to_string()]).map(Self)
    }

    /// Its address, `http://127.0.0.1:{port}`.
    pub fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    /// A client of it, which shares nothing with others.
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
    /// The shell; what it runs ends with it.
    shell: Child,
    address: SocketAddr,
}

/// Runs its arguments until they end or its standard input does.
const GUARD: &str = r#""$@" </dev/null & child=$!
( wait_for_end() { cat >/dev/null; kill -KILL "$child" 2>/dev/null; }; wait_for_end ) <&3 & guard=$!
wait "$child" 2>/dev/null; status=$?; kill "$guard" 2>/dev/null; exit "$status""#;

impl Server {
    fn start(command: impl Fn(u16) -> Vec<String>) -> io::Result<Self> {
        let mut last = io::Error::other("no port");
        for _ in 0..TRIES {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            match Self::start_on(port, &command(port)) {
                Ok(server) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn start_on(port: u16, command: &[String]) -> io::Result<Self> {
        let shell = Command::new("sh")
            // Background jobs of a shell have no standard input of their own: it comes by another number.
            .args(["-c", &format!("exec 3<&0; {GUARD}"), "sh"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut server = Self { shell, address: (Ipv4Addr::LOCALHOST, port).into() };
        let begun = Instant::now();
        while TcpStream::connect(server.address).is_err() {
            if let Some(status) = server.shell.try_wait()? {
                return Err(io::Error::other(format!("{} has ended: {status}", command.join(" "))));
            }
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{} does not answer", command.join(" "))));
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
