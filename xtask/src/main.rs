//! `cargo xtask <command>`: build and test automation. It contains no product code.
//!
//! A missing tool is installed, with one line of output, or it is an error. Nothing is skipped silently. Every child process
//! runs in a separate process group, which ends with this process.

mod bench;
mod cloud;
mod demo;
mod duration;
mod edge;
mod fuzz;
mod load;
mod media_fuzz;
mod mutants;
mod platform;
mod process;
mod rules;
mod scale;
mod simulate;
mod test;
mod this_program;
mod tools;
mod torture;
mod workspace;
mod workspace_copy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::process::Interrupted;
use crate::workspace::Workspace;

/// Build and test automation of Streamio.
///
/// On a new machine, run `cargo xtask demo` to upload, process and play a video, and `cargo xtask test` to run all checks.
/// Both install the tools that they need: FFmpeg with the system's package manager, all others in the user's cache folder
/// (`$XDG_CACHE_HOME/streamio`, or `~/.cache/streamio`), in one folder per version.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Test(test::Args),
    Demo(demo::Args),
    Bench(bench::Args),
    #[command(subcommand)]
    Cloud(cloud::Command),
    #[command(subcommand)]
    Edge(edge::Command),
    Fuzz(fuzz::Args),
    Load(load::Args),
    MediaFuzz(media_fuzz::Args),
    Mutants(mutants::Args),
    Tools(tools::Args),
    Clips(tools::clips::Args),
    Rules(rules::Args),
    Scale(scale::Args),
    Simulate(simulate::Args),
    Torture(torture::Args),
}

fn main() -> ExitCode {
    if fuzz::compiler::is_called() {
        return fuzz::compiler::compile();
    }
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
                eprintln!("xtask: {interrupted}");
                return interrupted.exit_code();
            }
            eprintln!("xtask: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    this_program::remember_path()?;
    process::end_children_on_signals()?;
    let workspace = Workspace::find()?;
    match command {
        Command::Test(args) => test::run(&workspace, &args),
        Command::Demo(args) => demo::run(&workspace, &args),
        Command::Bench(args) => bench::run(&workspace, &args),
        Command::Cloud(command) => cloud::run(&workspace, &command),
        Command::Edge(command) => edge::run(&workspace, &command),
        Command::Fuzz(args) => fuzz::run(&workspace, &args),
        Command::Load(args) => load::run(&workspace, &args),
        Command::MediaFuzz(args) => media_fuzz::run(&workspace, &args),
        Command::Mutants(args) => mutants::run(&workspace, &args),
        Command::Tools(args) => tools::run(&workspace, &args),
        Command::Clips(args) => tools::clips::run(&workspace, &args),
        Command::Rules(args) => rules::run(&workspace, &args),
        Command::Scale(args) => scale::run(&workspace, &args),
        Command::Simulate(args) => simulate::run(&workspace, &args),
        Command::Torture(args) => torture::run(&workspace, &args),
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
