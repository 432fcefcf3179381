//! The FFmpeg worker as a program. Its environment and its exit status are described in the library.

fn main() -> std::process::ExitCode {
    streamio_worker::main_from_env()
}
