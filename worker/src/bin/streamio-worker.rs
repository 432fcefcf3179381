//! The FFmpeg worker as a program. The library documents its environment variables and exit status.

fn main() -> std::process::ExitCode {
    streamio_worker::main_from_env()
}
