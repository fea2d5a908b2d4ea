//! `cirron-agent`: the way in. All work is in the library; this only runs it and exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    cirron_agent::main()
}
