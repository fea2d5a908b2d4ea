//! Functions of a Go program that a rule names, by the function table that every one carries, and where they become scopes.
//!
//! ```text
//! .gopclntab, a rule --named--> functions --plan--> an entry behind the stack's check, every return
//! ```
//! Stripped programs have the table as well. Its names are the linker's: `main.work`, `main.(*Server).Handle`,
//! `main.serve.func1`. A generic function has one for each form (`main.F[...]`). Arguments are counted by words in
//! registers: a string has two, its address and its length.

use std::ops::ControlFlow;

use cirron_common::Shape;
use cirron_common::hit::form;
use cirron_common::operand::Convention;

use super::functions::{MAX_FUNCTIONS, Named};
use super::look::Refusal;
use super::rule::{ScopeRule, Which};
use crate::probes::elf::Elf;
use crate::probes::locate::pclntab::{self, Row};
use crate::probes::place::{self, Kept, Place, Ways};
use crate::probes::usdt::look::{add_counted_text, add_value};
use crate::probes::usdt::rule::matches;

/// A function of Go's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoNamed {
    /// Where it lies.
    pub function: Named,
    /// As [`pclntab::GoFunction::recovered`].
    recovered: Option<u64>,
}

/// Those that a rule names. `true`: there are more than there may be.
pub fn named(elf: &Elf<'_>, which: &Which) -> (Vec<GoNamed>, bool) {
    let mut found = Vec::new();
    let Some((table, start)) = pclntab::table(elf) else {
        return (found, false);
    };
    let at = match which {
        Which::At(offset) => elf.address_of(*offset),
        Which::Named(_) => None,
    };
    let many = table.rows(elf.source, |row: &Row<'_>| {
        let Some(address) = start.checked_add(row.start) else {
            return ControlFlow::Continue(());
        };
        let is_it = match which {
            Which::At(_) => at == Some(address),
            Which::Named(pattern) => matches(pattern, row.name),
        };
        if !is_it {
            return ControlFlow::Continue(());
        }
        if found.len() == MAX_FUNCTIONS {
            return ControlFlow::Break(());
        }
        found.push(GoNamed {
            function: Named {
                name: row.name.to_owned(),
                address,
                size: row.end.saturating_sub(row.start),
            },
            recovered: row.recovered,
        });
        ControlFlow::Continue(())
    });
    (found, many.is_some())
}

/// Where its entry and its exits are.
pub fn places(code: &[u8], go: &GoNamed, kept: &Kept) -> Result<(Place, Vec<Place>), Refusal> {
    let ways = Ways {
        entries: go.recovered.into_iter().map(u64::cast_signed).collect(),
        ..Ways::default()
    };
    let entry = place::entry_once(code, &ways, kept)?;
    Ok((entry, place::returns(code, &ways)?))
}

/// Puts what a rule asks for into the shape of an entry. Lengths of texts stand behind all else.
pub fn add_values(enter: &mut Shape, rule: &ScopeRule) -> Result<Vec<(u8, String)>, Refusal> {
    let mut values = Vec::new();
    let mut texts = Vec::new();
    for wanted in &rule.values {
        let form = wanted.form.unwrap_or(form::INT);
        let operand = Convention::Go.argument(wanted.index);
        if form == form::TEXT {
            let length = wanted.index.checked_add(1).ok_or(Refusal::Values)?;
            texts.push((enter.values, length));
            // Its text is added with its length.
            add_value(enter, operand, form::UINT);
        } else {
            add_value(enter, operand, form);
        }
        values.push((form, wanted.name.clone()));
    }
    for (address, length) in texts {
        add_counted_text(enter, address, Convention::Go.argument(length)).ok_or(Refusal::Values)?;
    }
    Ok(values)
}
