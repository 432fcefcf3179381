//! The FFmpeg worker as a program. The library documents its environment variables and exit status.

fn main() -> std::process::ExitCode {
    streamio_worker::sandbox::run_if_launcher().unwrap_or_else(streamio_worker::main_from_env)
}
