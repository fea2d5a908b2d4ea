//! The project's commands: `cargo xtask COMMAND`, one file each in `cmd/`.
//!
//! It depends on no other crate of the workspace, so that it builds and runs before the eBPF
//! toolchain is there, which is what `setup` is for.

mod apt;
mod cmd;
mod host;
mod paths;
mod sh;

#[path = "../../cirron-agent/build/toolchain.rs"]
mod toolchain;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "The commands of cirron-agent's workspace"
)]
struct Arguments {
    #[command(subcommand)]
    command: cmd::Command,
}

fn main() -> ExitCode {
    match Arguments::parse().command.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
