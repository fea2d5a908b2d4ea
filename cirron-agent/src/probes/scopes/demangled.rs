//! Names of functions as their programs write them: Rust's and C++'s symbols are demangled.
//!
//! Pure: a symbol in, names out. A symbol is a stranger's: the libraries bound how deep they follow one, its length is
//! bounded by who reads it.

use cpp_demangle::{DemangleOptions, Symbol};

use crate::probes::usdt::rule::matches;

/// The names of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<'s> {
    symbol: &'s str,
    /// What it is called: of C++ without its parameters and its result.
    pub shown: String,
    /// Of C++ the same with all of that.
    full: Option<String>,
}

impl Names<'_> {
    /// Those of a symbol.
    pub fn read(symbol: &str) -> Names<'_> {
        let named = |shown, full| Names {
            symbol,
            shown,
            full,
        };
        if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
            return named(format!("{rust:#}"), None);
        }
        match cpp(symbol) {
            Some((shown, full)) => named(shown, Some(full)),
            None => named(symbol.to_owned(), None),
        }
    }

    /// Whether the pattern is of it.
    pub fn fit(&self, pattern: &str) -> bool {
        let full = self.full.as_deref();
        [Some(self.symbol), Some(&self.shown), full]
            .into_iter()
            .flatten()
            .any(|name| matches(pattern, name))
    }
}

/// A C++ symbol without and with its parameters.
fn cpp(symbol: &str) -> Option<(String, String)> {
    if !symbol.starts_with("_Z") {
        return None;
    }
    let read = Symbol::new(symbol).ok()?;
    let short = DemangleOptions::new().no_params().no_return_type();
    let shown = read.demangle_with_options(&short).ok()?;
    Some((shown, read.demangle().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_known_by_each_of_its_names() {
        let method = Names::read(
            "_ZN5model6Server4stepEiRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
        );
        assert_eq!(method.shown, "model::Server::step");
        for pattern in [
            "model::Server::step",
            "model::*",
            "*::step",
            "model::Server::step(int, *)",
            "_ZN5model6Server4step*",
        ] {
            assert!(method.fit(pattern), "{pattern}: {method:?}");
        }
        assert!(!method.fit("model::Server") && !method.fit("step"));
        let template = Names::read("_Z5twiceIiET_S0_");
        assert_eq!(template.shown, "twice<int>");
        assert!(template.fit("int twice<int>(int)"), "{template:?}");
        let rust = Names::read("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE");
        assert_eq!(rust.shown, "core::fmt::Write::write_fmt");
        assert!(rust.fit("core::fmt::*"));
        assert_eq!(Names::read("main").shown, "main");
    }

    #[test]
    fn what_is_no_symbol_of_these_is_its_own_name() {
        let deep = format!("_Z1f{}", "P".repeat(500));
        for symbol in ["_Z", "_ZN", "_Zqqq", deep.as_str()] {
            assert_eq!(Names::read(symbol).shown, symbol);
        }
    }
}
