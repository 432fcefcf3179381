//! One workerd that runs one Worker.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::process::{Running, last_lines};

/// How long a request that is no load may take.
const PATIENCE_SECONDS: u64 = 20;

/// What the runtime may assume of both sides; not later than the runtime's own date.
const COMPATIBILITY: &str = r#"compatibilityDate = "2026-04-01", compatibilityFlags = ["nodejs_compat"]"#;

/// A Worker and how to run it.
pub(super) struct Service {
    /// The workerd program.
    pub(super) program: PathBuf,
    /// Where its modules are and its configuration is written to.
    pub(super) folder: PathBuf,
    /// Files of `folder`, the first of which handles requests.
    pub(super) modules: Vec<String>,
    /// Names and texts.
    pub(super) bindings: Vec<(&'static str, String)>,
}

impl Service {
    /// <https://github.com/cloudflare/workerd/blob/main/src/workerd/server/workerd.capnp>
    fn config(&self) -> String {
        let mut modules = String::new();
        for name in &self.modules {
            let kind = if has_extension(name, "wasm") { "wasm" } else { "esModule" };
            let _ = write!(modules, "\n    (name = {name:?}, {kind} = embed {name:?}),");
        }
        let mut bindings = String::new();
        for (name, text) in &self.bindings {
            let _ = write!(bindings, "\n    (name = {name:?}, text = {}),", quoted(text));
        }
        // The address is never used: the socket is handed over.
        format!(
            r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [{modules}
  ],
  bindings = [{bindings}
  ],
  {COMPATIBILITY},
);
"#
        )
    }
}

/// Cap'n Proto's texts have C's escapes, in octal where they are numbers.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            character if character.is_ascii_control() => {
                let _ = write!(quoted, "\\{:03o}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// A running Worker. Dropping it ends it.
pub(super) struct Server {
    running: Running,
    pub(super) started: Instant,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts it. Connections are accepted at once, by the socket that it inherits: nobody has to guess a free port or
    /// when it is ready.
    pub(super) fn start(service: &Service) -> Result<Self> {
        let config = service.folder.join("config.capnp");
        fs::write(&config, service.config())?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port to listen on")?;
        fcntl_setfd(&listener, FdFlags::empty()).context("the socket cannot be inherited")?;
        let log = service.folder.join("workerd.log");
        let output = File::create(&log)?;
        let mut command = Command::new(&service.program);
        command
            .arg("serve")
            .arg(&config)
            .arg("--socket-fd")
            .arg(format!("http={}", listener.as_raw_fd()))
            .stdout(output.try_clone()?)
            .stderr(output);
        let address = listener.local_addr()?;
        let started = Instant::now();
        // With this process's end of the socket closed, a workerd that dies refuses connections.
        let running = Running::start(command)?;
        Ok(Self { running, started, address, log })
    }

    /// `http://127.0.0.1:…`, without a path.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn pid(&mut self) -> u32 {
        self.running.child().id()
    }

    /// The body of the answer to a GET, which must be 200, and how long it took.
    pub(super) fn get(&self, target: &str) -> Result<(String, Duration)> {
        let asked = Instant::now();
        let body = self.answered(minreq::get(format!("{}{target}", self.url())))?;
        Ok((body, asked.elapsed()))
    }

    /// The body of the answer to a POST, which must be 200.
    pub(super) fn post(&self, target: &str, body: &str, api_key: &str) -> Result<String> {
        let request = minreq::post(format!("{}{target}", self.url()))
            .with_header("x-api-key", api_key)
            .with_header("content-type", "application/json")
            .with_body(body);
        self.answered(request)
    }

    fn answered(&self, request: minreq::Request) -> Result<String> {
        let answer = request
            .with_timeout(PATIENCE_SECONDS)
            .send()
            .with_context(|| format!("workerd did not answer; it said:\n{}", self.said()))?;
        let body = String::from_utf8_lossy(answer.as_bytes()).into_owned();
        if answer.status_code != 200 {
            bail!("the Worker answered {}: {body}\nworkerd said:\n{}", answer.status_code, self.said());
        }
        Ok(body)
    }

    /// The end of what workerd printed, without the addresses of its own code.
    pub(super) fn said(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with("stack: ")).collect();
        last_lines(&lines.join("\n"), 12)
    }
}

#[cfg(test)]
mod tests {
    use super::{Service, quoted};

    #[test]
    fn a_key_is_one_text_of_the_configuration() {
        assert_eq!(quoted("-----BEGIN\n\"a\\b\"\r\n"), r#""-----BEGIN\n\"a\\b\"\015\n""#);
    }

    #[test]
    fn modules_are_embedded_by_their_kind_and_in_their_order() {
        let service = Service {
            program: "workerd".into(),
            folder: "/tmp".into(),
            modules: ["entry.js", "index.js", "index.wasm"].map(str::to_owned).into(),
            bindings: vec![("REGION", "eu-west-1".to_owned())],
        };
        let config = service.config();
        let lines: Vec<&str> = config.lines().map(str::trim).collect();
        let entry =
            lines.iter().position(|line| *line == r#"(name = "entry.js", esModule = embed "entry.js"),"#);
        let wasm =
            lines.iter().position(|line| *line == r#"(name = "index.wasm", wasm = embed "index.wasm"),"#);
        assert!(entry.unwrap() < wasm.unwrap(), "{config}");
        assert!(lines.contains(&r#"(name = "REGION", text = "eu-west-1"),"#), "{config}");
    }
}
