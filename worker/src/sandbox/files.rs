//! Access to files, ports and other processes (Landlock).

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};

use super::restrictions::Restrictions;

/// The newest interface whose rights are handled. Older kernels enforce those that they know.
const INTERFACE: ABI = ABI::V7;

/// Folders of libraries and of packages that consist of a program with its libraries.
const LIBRARIES: [&str; 6] = ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"];
const PACKAGES: [&str; 2] = ["/nix/store", "/gnu/store"];

/// What the dynamic linker, the C library and libnuma read.
const SYSTEM_FILES: [&str; 12] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-aarch64.path",
    "/etc/localtime",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
];

/// Restricts this process to what `program` consists of, the port and the working directory, as `restrictions` state, and separates
/// it from other processes. Returns the version of the interface that the kernel and this program share; 0 without Landlock.
pub(super) fn restrict(program: &Path, restrictions: &Restrictions) -> Result<i32, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(INTERFACE))?
        .handle_access(AccessNet::from_all(INTERFACE))?
        .scope(Scope::from_all(INTERFACE))?
        .create()?
        .add_rules(path_beneath_rules([program], run))?
        .add_rules(path_beneath_rules(linkers(), run))?
        .add_rules(path_beneath_rules(PACKAGES, run))?
        .add_rules(path_beneath_rules(libraries(program), read))?
        .add_rules(path_beneath_rules(SYSTEM_FILES, read))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?;
    if restrictions.writes {
        rules = rules.add_rules(path_beneath_rules(["."], written()))?;
    }
    if let Some(port) = restrictions.port {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    Ok(match rules.restrict_self()?.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as i32,
        _ => 0,
    })
}

/// Rights in the scratch directory. Links are not among them: the worker reads what is there with its own rights.
fn written() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
}

/// The dynamic linkers, which the kernel executes before the program.
fn linkers() -> impl Iterator<Item = PathBuf> {
    let entries =
        LIBRARIES.into_iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("ld-linux") || name.starts_with("ld-musl")
        })
        .map(|entry| entry.path())
}

/// Folders of libraries: those of the system, those beside `program`, and those that the environment names.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = LIBRARIES.map(PathBuf::from).into();
    // The file itself, of which `program` may be a symbolic link.
    if let Ok(file) = program.canonicalize()
        && let Some(prefix) = file.parent().and_then(Path::parent).filter(|prefix| *prefix != Path::new("/"))
    {
        folders.push(prefix.join("lib"));
    }
    if let Some(named) = std::env::var_os("LD_LIBRARY_PATH") {
        folders.extend(std::env::split_paths(&named).filter(|path| path.is_absolute()));
    }
    folders
}
