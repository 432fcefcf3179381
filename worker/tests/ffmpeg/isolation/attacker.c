// A program that does one thing which a decoder under an attacker's control would do. Exit status 0 means that it succeeded; otherwise
// it is the error number. Usage: attacker ACT [ARGUMENT]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int end(long result) { return result < 0 ? errno : 0; }

static struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

// Prints the status line of the answer to a request for URL's path on the port: "PORT/PATH".
static int request(char *argument) {
    char *path = strchr(argument, '/');
    char text[4096];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    *path = 0;
    struct sockaddr_in address = loopback(argument);
    int socket_ = socket(AF_INET, SOCK_STREAM, 0);
    if (socket_ < 0 || connect(socket_, (void *)&address, sizeof address) < 0) return errno;
    if (write(socket_, text, strlen(text)) < 0) return errno;
    ssize_t length = read(socket_, text, sizeof text);
    if (length < 12) return EPROTO;
    return strncmp(text + 9, "200", 3) == 0 ? 0 : EACCES;
}

// Starts a process that ends at once.
static int spawn(void) {
    pid_t child = fork();
    if (child < 0) return errno;
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
    return 0;
}

static int with_socket(int domain, int type, int protocol) { return end(socket(domain, type, protocol)); }

static int listen_on_loopback(void) {
    struct sockaddr_in address = loopback("0");
    int socket_ = socket(AF_INET, SOCK_STREAM, 0);
    if (socket_ < 0) return errno;
    return end(bind(socket_, (void *)&address, sizeof address));
}

// Connects with the first data, without a call of connect.
static int fast_open(const char *port) {
    struct sockaddr_in address = loopback(port);
    int socket_ = socket(AF_INET, SOCK_STREAM, 0);
    if (socket_ < 0) return errno;
    return end(sendto(socket_, "x", 1, MSG_FASTOPEN, (void *)&address, sizeof address));
}

static int connect_to(const char *port) {
    struct sockaddr_in address = loopback(port);
    int socket_ = socket(AF_INET, SOCK_STREAM, 0);
    if (socket_ < 0) return errno;
    return end(connect(socket_, (void *)&address, sizeof address));
}

// Whether a descriptor beyond the standard ones is open.
static int inherit(void) {
    for (int fd = 3; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) return 0;
    }
    return EBADF;
}

static int read_memory(pid_t process) {
    char byte;
    struct iovec to = {&byte, 1}, from = {(void *)&end, 1};
    return end(process_vm_readv(process, &to, 1, &from, 1, 0));
}

// Makes the kernel use as many MiB for page tables, by reading every second MiB of memory that is not the process's to write.
static int use_page_tables(long mebibytes) {
    long step = 1L << 21, length = mebibytes << 29;
    volatile char *memory =
        mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return errno;
    for (long place = 0; place < length; place += step) memory[place];
    return 0;
}

// Waits until a signal comes. The system call of `pause` does not exist in the sandbox.
static int wait_for_signal(void) { return end(poll(NULL, 0, -1)); }

static void *wait_in_thread(void *none) { wait_for_signal(); return none; }

// Starts as many threads, all of which go on.
static int start_threads(long count) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 16384);
    for (pthread_t thread; count > 0; count--) {
        int error = pthread_create(&thread, &attributes, wait_in_thread, NULL);
        if (error) return error;
    }
    return 0;
}

static int has_limit(int resource) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0) return errno;
    return limit.rlim_cur == RLIM_INFINITY ? 0 : EPERM;
}

int main(int count, char **arguments) {
    const char *act = count > 1 ? arguments[1] : "";
    char *argument = count > 2 ? arguments[2] : "";
#define ACT(name) if (strcmp(act, name) == 0)
    ACT("nothing") return 0;
    ACT("wait") { puts("ready"); fflush(stdout); return wait_for_signal(); }
    ACT("read") return end(open(argument, O_RDONLY));
    ACT("list") return end(open(argument, O_RDONLY | O_DIRECTORY));
    ACT("write") return end(open(argument, O_WRONLY | O_CREAT, 0600));
    ACT("truncate") return end(truncate(argument, 0));
    ACT("remove") return end(unlink(argument));
    ACT("symlink") return end(symlink(argument, "link"));
    ACT("hardlink") return end(link(argument, "link"));
    ACT("chmod") return end(chmod(argument, 0777));
    ACT("fifo") return end(mkfifo("fifo", 0600));
    ACT("execute") { execl(argument, argument, "nothing", NULL); return errno; }
    ACT("connect") return connect_to(argument);
    ACT("fastopen") return fast_open(argument);
    ACT("request") return request(argument);
    ACT("bind") return listen_on_loopback();
    ACT("udp") return with_socket(AF_INET, SOCK_DGRAM, 0);
    ACT("mptcp") return with_socket(AF_INET, SOCK_STREAM, 262);
    ACT("unix") return with_socket(AF_UNIX, SOCK_STREAM, 0);
    ACT("netlink") return with_socket(AF_NETLINK, SOCK_RAW, 0);
    ACT("spawn") return spawn();
    ACT("trace") return end(ptrace(PTRACE_SEIZE, atoi(argument), NULL, NULL));
    ACT("memory") return read_memory(atoi(argument));
    ACT("signal") return end(kill(atoi(argument), SIGCONT));
    ACT("unshare") return end(unshare(CLONE_NEWUSER));
    ACT("mount") return end(mount("none", ".", "tmpfs", 0, NULL));
    ACT("keyring") return end(syscall(SYS_keyctl, 0, -3, 1));
    ACT("io_uring") { char parameters[256] = {0}; return end(syscall(SYS_io_uring_setup, 1, parameters)); }
    ACT("userfaultfd") return end(syscall(SYS_userfaultfd, 1));
    ACT("bpf") { union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
        return end(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map)); }
    ACT("shared-memory") return mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
    ACT("large-file") {
        signal(SIGXFSZ, SIG_IGN);
        int file = open("large", O_WRONLY | O_CREAT, 0600);
        return end(pwrite(file, "x", 1, 1 << 21));
    }
    ACT("allocate") return mmap(NULL, 1L << 33, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED ? errno : 0;
    ACT("page-tables") return use_page_tables(atol(argument));
    ACT("threads") return start_threads(atol(argument));
    ACT("inherit") return inherit();
    ACT("dump") { struct rlimit limit; getrlimit(RLIMIT_CORE, &limit); return limit.rlim_max > 0 ? 0 : EPERM; }
    ACT("root") return getuid() == 0 || getgroups(0, NULL) > 0 ? 0 : EPERM;
    ACT("privileges") return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? EPERM : 0;
    ACT("equal-priority") return getpriority(PRIO_PROCESS, 0) <= atoi(argument) ? 0 : EPERM;
    ACT("unlimited-time") return has_limit(RLIMIT_CPU);
    return 99;
}
