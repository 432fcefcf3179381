//! Installs packages with the system's package manager.

use std::process::Command;

use anyhow::{Result, bail};

use super::announce::announce;
use super::path;
use crate::process::{capture, last_lines};

/// The commands of a package manager. `{}` is replaced by the package.
struct Manager {
    program: &'static str,
    /// Updates the list of packages. A failure is ignored if the installation succeeds.
    refresh: Option<&'static [&'static str]>,
    install: &'static [&'static str],
    /// Whether it needs root.
    root: bool,
}

const MANAGERS: &[Manager] = &[
    Manager {
        program: "apt-get",
        // Without this mode, apt-get exits with status 0 if an archive is unreachable.
        refresh: Some(&[
            "apt-get",
            "-o",
            "DPkg::Lock::Timeout=120",
            "-o",
            "APT::Update::Error-Mode=any",
            "update",
        ]),
        install: &[
            "apt-get",
            "-o",
            "DPkg::Lock::Timeout=120",
            "install",
            "-y",
            "--no-install-recommends",
            "{}",
        ],
        root: true,
    },
    Manager { program: "dnf", refresh: None, install: &["dnf", "install", "-y", "{}"], root: true },
    Manager {
        program: "pacman",
        refresh: None,
        install: &["pacman", "-Sy", "--noconfirm", "--needed", "{}"],
        root: true,
    },
    Manager { program: "apk", refresh: None, install: &["apk", "add", "--no-cache", "{}"], root: true },
    Manager { program: "brew", refresh: None, install: &["brew", "install", "{}"], root: false },
];

/// The commands to install one package.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    manager: &'static str,
    refresh: Option<Vec<String>>,
    install: Vec<String>,
}

/// Installs `package`.
pub(super) fn install(package: &str) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    let plan = plan(package, root, |program| path::find(program).is_some())?;
    announce(&format!("installing {package} with {} (once; this may take a minute)", plan.manager));
    let mut stale = None;
    if let Some(refresh) = &plan.refresh
        && let Err(output) = run_quietly(refresh)?
    {
        stale = Some(format!("`{}` failed before: {output}\n", refresh.join(" ")));
    }
    if let Err(output) = run_quietly(&plan.install)? {
        bail!(
            "could not install {package}: `{}` failed: {output}\n{}Install {package} yourself and run this again.",
            plan.install.join(" "),
            stale.unwrap_or_default(),
        );
    }
    Ok(())
}

/// Returns the commands for the first package manager that is installed, with `sudo` if it needs root.
fn plan(package: &str, root: bool, has: impl Fn(&str) -> bool) -> Result<Plan> {
    let Some(manager) = MANAGERS.iter().find(|manager| has(manager.program)) else {
        let known: Vec<&str> = MANAGERS.iter().map(|manager| manager.program).collect();
        bail!(
            "{package} is missing and none of {} is installed: install {package} yourself",
            known.join(", ")
        );
    };
    let mut prefix = vec![];
    if manager.root && !root {
        if !has("sudo") {
            bail!(
                "{package} is missing; {} needs root and there is no sudo: install {package} as root",
                manager.program
            );
        }
        // -n: fail instead of prompting for a password.
        prefix.extend(["sudo", "-n"]);
    }
    prefix.extend(["env", "DEBIAN_FRONTEND=noninteractive"]);
    let fill = |words: &[&str]| -> Vec<String> {
        prefix.iter().chain(words).map(|word| word.replace("{}", package)).collect()
    };
    Ok(Plan { manager: manager.program, refresh: manager.refresh.map(fill), install: fill(manager.install) })
}

/// Runs a command without printing its output. Returns the end of the output if the command fails.
fn run_quietly(words: &[String]) -> Result<Result<(), String>> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    let output = capture(command)?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let printed =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok(Err(last_lines(&printed, 8)))
}

#[cfg(test)]
mod tests {
    use super::plan;

    fn machine(programs: &'static [&'static str]) -> impl Fn(&str) -> bool {
        move |name| programs.contains(&name)
    }

    #[test]
    fn root_on_debian_installs_directly_after_refreshing_the_list() {
        let plan = plan("ffmpeg", true, machine(&["apt-get", "sudo"])).unwrap();
        assert_eq!(plan.install[..2], ["env", "DEBIAN_FRONTEND=noninteractive"]);
        assert_eq!(plan.install.last().unwrap(), "ffmpeg");
        assert!(plan.refresh.unwrap().ends_with(&["update".to_owned()]));
    }

    #[test]
    fn other_users_run_sudo_without_a_prompt() {
        let plan = plan("ffmpeg", false, machine(&["apt-get", "sudo"])).unwrap();
        assert_eq!(plan.install[..3], ["sudo", "-n", "env"]);
    }

    #[test]
    fn brew_needs_no_root() {
        let plan = plan("ffmpeg", false, machine(&["brew"])).unwrap();
        assert_eq!(plan.install, ["env", "DEBIAN_FRONTEND=noninteractive", "brew", "install", "ffmpeg"]);
    }

    #[test]
    fn the_error_without_root_or_a_package_manager_names_the_package() {
        let no_sudo = plan("ffmpeg", false, machine(&["dnf"])).unwrap_err().to_string();
        assert_eq!(no_sudo, "ffmpeg is missing; dnf needs root and there is no sudo: install ffmpeg as root");
        let nothing = plan("ffmpeg", true, machine(&[])).unwrap_err().to_string();
        assert!(nothing.contains("none of apt-get, dnf, pacman, apk, brew is installed"), "{nothing}");
    }
}
