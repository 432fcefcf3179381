//! The system's package manager: which one, with which rights, by which commands.

use std::process::Command;

use anyhow::{Result, bail};

use super::{announce, path};
use crate::process::{capture, last_lines};

/// How one package manager is called. `{}` stands for the package.
struct Manager {
    program: &'static str,
    /// Refreshes the list of packages; may fail where a stale list is good enough.
    refresh: Option<&'static [&'static str]>,
    install: &'static [&'static str],
    /// Whether it insists on root.
    root: bool,
}

const MANAGERS: &[Manager] = &[
    Manager {
        program: "apt-get",
        // Without the mode, an unreachable archive is a warning and exit code 0.
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

/// What to run to install one package.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    manager: &'static str,
    refresh: Option<Vec<String>>,
    install: Vec<String>,
}

/// Installs `package`, or says what stands in the way.
pub(super) fn install(package: &str) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    let plan = plan(package, root, |program| path::find(program).is_some())?;
    announce(&format!("installing {package} with {} (once; this may take a minute)", plan.manager));
    let mut stale = None;
    if let Some(refresh) = &plan.refresh
        && let Err(said) = quietly(refresh)?
    {
        stale = Some(format!("`{}` failed before that: {said}\n", refresh.join(" ")));
    }
    if let Err(said) = quietly(&plan.install)? {
        bail!(
            "could not install {package}: `{}` failed: {said}\n{}Install {package} yourself and run this again.",
            plan.install.join(" "),
            stale.unwrap_or_default(),
        );
    }
    Ok(())
}

/// Chooses the first manager that is there, and the way to root where it wants that.
fn plan(package: &str, root: bool, has: impl Fn(&str) -> bool) -> Result<Plan> {
    let Some(manager) = MANAGERS.iter().find(|manager| has(manager.program)) else {
        let known: Vec<&str> = MANAGERS.iter().map(|manager| manager.program).collect();
        bail!(
            "{package} is missing and none of {} is here to get it: install {package} yourself",
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
        // -n: fail rather than ask for a password, since nobody may be there to type one.
        prefix.extend(["sudo", "-n"]);
    }
    prefix.extend(["env", "DEBIAN_FRONTEND=noninteractive"]);
    let fill = |words: &[&str]| -> Vec<String> {
        prefix.iter().chain(words).map(|word| word.replace("{}", package)).collect()
    };
    Ok(Plan { manager: manager.program, refresh: manager.refresh.map(fill), install: fill(manager.install) })
}

/// Runs without showing the output; a failure carries its end.
fn quietly(words: &[String]) -> Result<Result<(), String>> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    let output = capture(command)?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok(Err(last_lines(&said, 8)))
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
    fn another_user_goes_through_a_sudo_that_never_asks() {
        let plan = plan("ffmpeg", false, machine(&["apt-get", "sudo"])).unwrap();
        assert_eq!(plan.install[..3], ["sudo", "-n", "env"]);
    }

    #[test]
    fn brew_needs_no_root() {
        let plan = plan("ffmpeg", false, machine(&["brew"])).unwrap();
        assert_eq!(plan.install, ["env", "DEBIAN_FRONTEND=noninteractive", "brew", "install", "ffmpeg"]);
    }

    #[test]
    fn without_rights_or_without_a_manager_the_error_names_what_to_install() {
        let no_sudo = plan("ffmpeg", false, machine(&["dnf"])).unwrap_err().to_string();
        assert_eq!(no_sudo, "ffmpeg is missing; dnf needs root and there is no sudo: install ffmpeg as root");
        let nothing = plan("ffmpeg", true, machine(&[])).unwrap_err().to_string();
        assert!(nothing.contains("none of apt-get, dnf, pacman, apk, brew is here"), "{nothing}");
    }
}
