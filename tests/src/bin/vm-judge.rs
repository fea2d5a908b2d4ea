//! `vm-judge DIR`: judges what the guest of `cargo xtask vm` brought out, one line a check:
//! `ok` or `FAILED`, name and text, with tabs between. Whoever started it counts them.

use std::path::PathBuf;
use std::process::ExitCode;

use cirron_tests::vm;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: vm-judge DIR");
        return ExitCode::from(2);
    };
    for check in vm::judge(&folder) {
        let (verdict, text) = match check.result {
            Ok(text) => ("ok", text),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        println!("{verdict}\t{}\t{}", check.name, text.replace('\n', "; "));
    }
    ExitCode::SUCCESS
}
