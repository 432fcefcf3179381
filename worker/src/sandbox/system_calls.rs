//! The system calls of FFmpeg (seccomp).
//!
//! A list of what is allowed, not of what is denied: new system calls, those of other calling conventions (x32) and the many with a
//! history of defects (`bpf`, `io_uring`, `userfaultfd`, `keyctl`, `ptrace`, `mount`, `unshare`, …) are denied without being named.
//! The price is that an FFmpeg which needs another one fails. It is small, because a call that is not allowed fails as on a kernel
//! that does not have it (`ENOSYS`), for which C libraries have a substitute, and because decoders and encoders only compute: the list
//! has what the C libraries (glibc, musl) use for memory, threads, time, files and one kind of socket.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Restricts this process. Returns whether the kernel accepted the filter.
pub(super) fn restrict() -> bool {
    filter().is_ok_and(|program| seccompiler::apply_filter(&program).is_ok())
}

fn filter() -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        ALLOWED.iter().chain(OF_ARCHITECTURE).map(|call| (*call, vec![])).collect();
    rules.insert(libc::SYS_mmap, mappings()?);
    // With this flag they connect, and Landlock does not see it.
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2)] {
        let fast_open = u64::from(libc::MSG_FASTOPEN.unsigned_abs());
        rules.insert(
            call,
            vec![SeccompRule::new(vec![argument(flags, SeccompCmpOp::MaskedEq(fast_open), 0)?])?],
        );
    }
    rules.insert(libc::SYS_socket, sockets()?);
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![new_thread()?])?]);
    let own = u64::from(std::process::id());
    let to = |process| SeccompRule::new(vec![argument(0, SeccompCmpOp::Eq, process)?]);
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, vec![to(own)?]);
    }
    // FFmpeg would catch the signal of its limit on processor time and go on, and then be killed like a process that the machine ends.
    let limit_signal = u64::from(libc::SIGXCPU.unsigned_abs());
    let other_signals = argument(0, SeccompCmpOp::Ne, limit_signal)?;
    rules.insert(libc::SYS_rt_sigaction, vec![SeccompRule::new(vec![other_signals])?]);
    // Its own limits; 0 is the calling process.
    rules.insert(libc::SYS_prlimit64, vec![to(0)?, to(own)?]);
    let otherwise = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, SeccompAction::Allow, architecture)?.try_into()
}

/// TCP over IPv4 and IPv6. Others that Landlock does not know, such as MPTCP, are not among them.
fn sockets() -> Result<Vec<SeccompRule>, BackendError> {
    const KIND: u64 = 0xf;
    let mut rules = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for protocol in [0, libc::IPPROTO_TCP] {
            rules.push(SeccompRule::new(vec![
                argument(0, SeccompCmpOp::Eq, u64::from(family.unsigned_abs()))?,
                argument(1, SeccompCmpOp::MaskedEq(KIND), u64::from(libc::SOCK_STREAM.unsigned_abs()))?,
                argument(2, SeccompCmpOp::Eq, u64::from(protocol.unsigned_abs()))?,
            ])?);
        }
    }
    Ok(rules)
}

/// Private memory, and files. Shared memory without a file would not count towards the limit on memory.
fn mappings() -> Result<Vec<SeccompRule>, BackendError> {
    const FLAGS: u8 = 3;
    let (shared, anonymous) =
        (u64::from(libc::MAP_SHARED.unsigned_abs()), u64::from(libc::MAP_ANONYMOUS.unsigned_abs()));
    Ok(vec![
        SeccompRule::new(vec![argument(FLAGS, SeccompCmpOp::MaskedEq(anonymous), 0)?])?,
        SeccompRule::new(vec![argument(FLAGS, SeccompCmpOp::MaskedEq(anonymous | shared), anonymous)?])?,
    ])
}

/// A thread of this process in the same namespaces. `clone3`, whose flags a filter cannot see, is not allowed.
fn new_thread() -> Result<SeccompCondition, BackendError> {
    const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    argument(0, SeccompCmpOp::MaskedEq(thread | u64::from(NAMESPACES.unsigned_abs())), thread)
}

fn argument(number: u8, operation: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(number, SeccompCmpArgLen::Dword, operation, value)
}

/// `execve` is needed to start the program; Landlock limits it to the program itself. The new process image keeps all restrictions.
const ALLOWED: &[c_long] = &[
    // Start and end.
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    // Memory.
    libc::SYS_brk,
    libc::SYS_get_mempolicy,
    libc::SYS_madvise,
    libc::SYS_mbind,
    libc::SYS_membarrier,
    libc::SYS_mlock,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_munlock,
    libc::SYS_munmap,
    libc::SYS_set_mempolicy,
    // Threads.
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getcpu,
    libc::SYS_getpriority,
    libc::SYS_gettid,
    libc::SYS_prctl,
    libc::SYS_rseq,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    // Signals.
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    // Time.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_times,
    // Files. Landlock limits which.
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_ioctl,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pipe2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    // The connection to the relay. Landlock limits the port.
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    // Facts about the process and the machine.
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_getrusage,
    libc::SYS_getuid,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// Older forms of calls in [`ALLOWED`], which exist only on this architecture.
#[cfg(target_arch = "x86_64")]
const OF_ARCHITECTURE: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_getdents,
    libc::SYS_getrlimit,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OF_ARCHITECTURE: &[c_long] = &[];
