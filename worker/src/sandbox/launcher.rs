//! The launcher: restricts its own process and replaces itself by the program.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::control_group;
use super::measures::Measures;
use super::restrictions::Restrictions;
use super::user;
use super::{CHECK, LAUNCH_FAILED, LAUNCHER};
use crate::process::Bounds;

/// Acts as the launcher if this process was started as one, and returns `None` otherwise. A program that runs workers must call it
/// first, while it has one thread.
///
/// The arguments are the restrictions as JSON, the program's path and its arguments. The process is replaced by the program; the exit
/// status 125 and a line on standard error state why it could not be.
pub fn run_if_launcher() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    if args.next()? != LAUNCHER {
        return None;
    }
    let problem = match args.next() {
        Some(check) if check == CHECK => match check_measures(&args.next().unwrap_or_default()) {
            Ok(measures) => {
                println!("{measures}");
                return Some(ExitCode::SUCCESS);
            }
            Err(problem) => problem,
        },
        Some(restrictions) => launch(&restrictions, args.collect()),
        None => "no restrictions are given".to_owned(),
    };
    eprintln!("{LAUNCHER}: {problem}");
    Some(ExitCode::from(u8::try_from(LAUNCH_FAILED).unwrap_or(u8::MAX)))
}

const INVALID: &str = "the restrictions are not valid";

/// Restricts this process as far as possible, and returns the measures as JSON.
fn check_measures(restrictions: &OsStr) -> Result<String, String> {
    let measures = restrict(Path::new("/"), &Restrictions::from_json(restrictions).ok_or(INVALID)?)?;
    serde_json::to_string(&measures).map_err(|error| error.to_string())
}

/// Returns only if the program cannot be started, and why.
fn launch(restrictions: &OsStr, mut command: Vec<OsString>) -> String {
    let Some(restrictions) = Restrictions::from_json(restrictions) else { return INVALID.to_owned() };
    if command.is_empty() {
        return "no program is given".to_owned();
    }
    let program = PathBuf::from(command.remove(0));
    match restrict(&program, &restrictions) {
        Ok(measures) if restrictions.expected.as_ref().is_some_and(|expected| *expected != measures) => {
            format!("the kernel enforces {measures:?} and enforced {:?} before", restrictions.expected)
        }
        Ok(_) => {
            let error = Command::new(&program).args(command).exec();
            format!("cannot start `{}` as user {}: {error}", program.display(), rustix::process::geteuid())
        }
        Err(problem) => problem,
    }
}

/// Restricts this process for `program`.
fn restrict(program: &Path, restrictions: &Restrictions) -> Result<Measures, String> {
    // Also those that the worker itself inherited from the program that started it.
    close_fds::set_fds_cloexec(3, &[]);
    // Before the process is in its group, whose limit on memory would count as that of the machine.
    limit(restrictions).map_err(|error| format!("cannot limit the process: {error}"))?;
    let control_group = match &restrictions.control_group {
        Some(path) => Some(
            control_group::join(path)
                .map_err(|error| format!("cannot enter the control group `{}`: {error}", path.display()))?,
        ),
        None => None,
    };
    Ok(Measures { control_group, ..confine(program, restrictions)? })
}

/// Takes the measures of this system. The system calls come last, because the other measures need some that are not allowed.
#[cfg(target_os = "linux")]
fn confine(program: &Path, restrictions: &Restrictions) -> Result<Measures, String> {
    // When memory runs out, the kernel ends this process first, not the worker or the platform. The attempt is then repeated.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    rustix::thread::set_no_new_privs(true).map_err(|error| format!("cannot give up privileges: {error}"))?;
    let is_root = user::is_root();
    let landlock = super::files::restrict(program, restrictions)
        .map_err(|error| format!("cannot restrict access to files: {error}"))?;
    let user = (is_root && user::give_up_root().is_ok()).then_some(user::CHILD_USER);
    let system_calls = super::system_calls::restrict();
    Ok(Measures { landlock, system_calls, user, is_root, control_group: None })
}

/// This system has none of these measures.
#[cfg(not(target_os = "linux"))]
fn confine(_: &Path, _: &Restrictions) -> Result<Measures, String> {
    Ok(Measures { is_root: user::is_root(), ..Measures::default() })
}

/// How much lower than this process's the priority of the program is: on one machine, FFmpeg uses all of the processors, and the servers of
/// the platform still answer at once. Alone it is as fast as without.
const NICENESS: i32 = 10;

/// Sets the priority and the limits that the kernel enforces. The process dumps no memory when it crashes.
fn limit(restrictions: &Restrictions) -> io::Result<()> {
    rustix::process::nice(NICENESS)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    restrictions.bounds.map_or(Ok(()), Bounds::apply)
}
