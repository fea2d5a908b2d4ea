//! Which share of the functions of real files can be scopes, and why the others cannot.
//!
//! `CIRRON_SCOPES="FILE FILE..." cargo test -p cirron-agent --lib -- share_of_real --ignored --nocapture`
#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;

use object::elf;

use super::functions::Named;
use super::look::reason;
use crate::probes::locate::Binary;
use crate::probes::quiet::Quiet;
use crate::probes::source::Source;
use crate::probes::symbols;

/// All functions of a file: those of its symbols; of a stripped one those of the unwinder's table.
fn all(binary: &Binary<'_>) -> Vec<Named> {
    let mut found: BTreeMap<u64, u64> = BTreeMap::new();
    for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        let Some((rows, _)) = binary.elf.linked(kind) else {
            continue;
        };
        symbols::defined(binary.elf.source, rows.part(), |row| {
            if row.is_function && row.size > 0 {
                found.insert(row.address, row.size);
            }
            ControlFlow::<()>::Continue(())
        });
        if !found.is_empty() {
            break;
        }
    }
    let named = |(address, size): (u64, u64)| Named {
        name: String::new(),
        address,
        size,
    };
    found.into_iter().map(named).collect()
}

#[test]
#[ignore = "of files that are named"]
fn the_share_of_real_files() {
    let files = std::env::var("CIRRON_SCOPES").unwrap_or_default();
    for path in files.split_whitespace() {
        let file = File::open(path).unwrap();
        let quiet = Quiet::new(&file);
        let source = Source::unbounded(&quiet);
        let Some(binary) = Binary::read(&source) else {
            println!("{path}: no ELF");
            continue;
        };
        let functions = all(&binary);
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for function in &functions {
            if let Some(why) = reason(&binary, function) {
                *reasons.entry(why.to_string()).or_default() += 1;
            }
        }
        let refused: usize = reasons.values().sum();
        let mut sorted: Vec<_> = reasons.into_iter().map(|(why, n)| (n, why)).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        println!(
            "{path}: {refused} of {} functions refused, {:.1} %",
            functions.len(),
            refused as f64 * 100.0 / functions.len().max(1) as f64
        );
        for (n, why) in sorted {
            println!("  {n:6} {why}");
        }
    }
}
