//! A workerd process that runs one Worker.

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

/// The timeout of a single request.
const TIMEOUT_SECONDS: u64 = 20;

/// The compatibility settings of both sides. The date must not be later than that of the pinned workerd.
const COMPATIBILITY: &str = r#"compatibilityDate = "2026-04-01", compatibilityFlags = ["nodejs_compat"]"#;

/// A Worker with its configuration.
pub(super) struct Service {
    /// The workerd program.
    pub(super) program: PathBuf,
    /// The folder of its modules, in which the configuration and the log are written.
    pub(super) folder: PathBuf,
    /// The names of its modules. The first one handles requests.
    pub(super) modules: Vec<String>,
    /// The names and values of its variables.
    pub(super) bindings: Vec<(&'static str, String)>,
}

impl Service {
    /// Returns the configuration file, by
    /// <https://github.com/cloudflare/workerd/blob/main/src/workerd/server/workerd.capnp>.
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
        // The address is not used, because workerd inherits a listening socket.
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

/// Returns a Cap'n Proto string literal. Its escape sequences are those of C; control characters are octal.
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

/// A running Worker. Dropping it stops the process.
pub(super) struct Server {
    running: Running,
    pub(super) started: Instant,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts workerd with a listening socket that it inherits. So its port is known, and connections are queued until it is ready.
    pub(super) fn start(service: &Service) -> Result<Self> {
        let config = service.folder.join("config.capnp");
        fs::write(&config, service.config())?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("could not listen on a port")?;
        fcntl_setfd(&listener, FdFlags::empty()).context("could not let workerd inherit the socket")?;
        let log = service.folder.join("workerd.log");
        let log_file = File::create(&log)?;
        let mut command = Command::new(&service.program);
        command
            .arg("serve")
            .arg(&config)
            .arg("--socket-fd")
            .arg(format!("http={}", listener.as_raw_fd()))
            .stdout(log_file.try_clone()?)
            .stderr(log_file);
        let address = listener.local_addr()?;
        let started = Instant::now();
        // `listener` is closed at the end of this function, so connections are refused if workerd ends.
        let running = Running::start(command)?;
        Ok(Self { running, started, address, log })
    }

    /// Returns the URL without a path: `http://127.0.0.1:…`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn pid(&mut self) -> u32 {
        self.running.child().id()
    }

    /// Sends a GET request. Returns the body of the response and the duration. Fails unless the status is 200.
    pub(super) fn get(&self, target: &str) -> Result<(String, Duration)> {
        let sent = Instant::now();
        let body = self.send(minreq::get(format!("{}{target}", self.url())))?;
        Ok((body, sent.elapsed()))
    }

    /// Sends a POST request, or without a body a GET request. Returns the body of the response. Fails unless the status is 200.
    pub(super) fn request(&self, target: &str, body: &str, api_key: &str) -> Result<String> {
        if body.is_empty() {
            return self.get(target).map(|(body, _)| body);
        }
        let request = minreq::post(format!("{}{target}", self.url()))
            .with_header("x-api-key", api_key)
            .with_header("content-type", "application/json")
            .with_body(body);
        self.send(request)
    }

    fn send(&self, request: minreq::Request) -> Result<String> {
        let response = request
            .with_timeout(TIMEOUT_SECONDS)
            .send()
            .with_context(|| format!("workerd sent no response; its output:\n{}", self.output()))?;
        let body = String::from_utf8_lossy(response.as_bytes()).into_owned();
        if response.status_code != 200 {
            bail!(
                "the Worker responded with {}: {body}\noutput of workerd:\n{}",
                response.status_code,
                self.output()
            );
        }
        Ok(body)
    }

    /// Returns the last lines of workerd's output, without its native stack traces.
    pub(super) fn output(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with("stack: ")).collect();
        last_lines(&lines.join("\n"), 12)
    }
}

#[cfg(test)]
mod tests {
    use super::{Service, quoted};

    #[test]
    fn special_characters_of_a_variable_are_escaped() {
        assert_eq!(quoted("-----BEGIN\n\"a\\b\"\r\n"), r#""-----BEGIN\n\"a\\b\"\015\n""#);
    }

    #[test]
    fn modules_are_embedded_with_their_kind_in_their_order() {
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
