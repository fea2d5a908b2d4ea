//! The probes of `cirron-probe`, as `docs/probes.md` lists them: what each means, and which of its arguments are texts.

use cirron_common::hit::{form, role};
use cirron_common::shape::thinning;

/// The provider's name.
pub const PROVIDER: &str = "cirron";

/// Bytes of a name that are read: as many as a name in the spool has.
const NAME_BYTES: u16 = 128;
/// Bytes of a text: what `cirron-probe` gives at most of a mark's, and enough for an id.
const TEXT_BYTES: u16 = 256;
/// Bytes of attributes: what `cirron-probe` gives at most.
const ATTRIBUTES_BYTES: u16 = 512;

/// An argument.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// How it is to be read.
    pub form: u8,
    /// What it is.
    pub name: &'static str,
    /// Of a length: bytes of the text, which the argument before it is the address of, that are read at most. Else 0.
    pub most: u16,
}

/// A probe.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub role: u8,
    /// Its arguments.
    pub arguments: &'static [Given],
    /// It begins what others end.
    pub is_begin: bool,
    /// What becomes of it where it is hit too often. A scope is told whatever it costs: a tree with holes is none.
    pub thinning: u8,
}

const fn number(name: &'static str) -> Given {
    Given {
        form: form::UINT,
        name,
        most: 0,
    }
}

const fn text(name: &'static str) -> Given {
    Given {
        form: form::TEXT,
        name,
        most: 0,
    }
}

const fn length(name: &'static str, most: u16) -> Given {
    Given {
        most,
        ..number(name)
    }
}

const SCOPE: &[Given] = &[
    number("id"),
    number("parent"),
    text("name"),
    length("name_length", NAME_BYTES),
    text("attributes"),
    length("attributes_length", ATTRIBUTES_BYTES),
];

const REQUEST: &[Given] = &[
    number("id"),
    number("parent"),
    text("request_id"),
    length("request_id_length", TEXT_BYTES),
    text("attributes"),
    length("attributes_length", ATTRIBUTES_BYTES),
];

const fn begin(name: &'static str, role: u8, arguments: &'static [Given]) -> Known {
    Known {
        name,
        role,
        arguments,
        is_begin: true,
        thinning: thinning::NONE,
    }
}

const fn other(name: &'static str, role: u8, arguments: &'static [Given]) -> Known {
    Known {
        is_begin: false,
        ..begin(name, role, arguments)
    }
}

/// All of them.
pub const PROBES: &[Known] = &[
    begin("scope_begin", role::SCOPE_BEGIN, SCOPE),
    begin("scope_open", role::SCOPE_OPEN, SCOPE),
    begin("request_begin", role::REQUEST_BEGIN, REQUEST),
    begin("request_open", role::REQUEST_OPEN, REQUEST),
    other("scope_enter", role::SCOPE_ENTER, &[number("id")]),
    other("scope_exit", role::SCOPE_EXIT, &[number("id")]),
    other(
        "scope_end",
        role::SCOPE_END,
        &[number("id"), number("outcome")],
    ),
    Known {
        thinning: thinning::EACH,
        ..other(
            "mark",
            role::MARK,
            &[
                number("scope"),
                text("name"),
                length("name_length", NAME_BYTES),
                number("kind"),
                text("value"),
                length("value_length", TEXT_BYTES),
                text("attributes"),
                length("attributes_length", ATTRIBUTES_BYTES),
            ],
        )
    },
    Known {
        thinning: thinning::EACH,
        ..other(
            "dropped",
            role::DROPPED,
            &[number("reason"), number("total")],
        )
    },
];

/// The probe of a name.
pub fn named(name: &str) -> Option<&'static Known> {
    PROBES.iter().find(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document and this table are one.
    #[test]
    fn the_document_lists_these_probes_with_as_many_arguments() {
        let document = include_str!("../../../../docs/probes.md");
        for known in PROBES {
            let row = format!("| `{}` | ", known.name);
            let row = document.lines().find_map(|line| line.strip_prefix(&row));
            let arguments = row.and_then(|row| row.split('|').next()).map(str::trim);
            let arguments = arguments.unwrap_or_else(|| panic!("{}", known.name));
            let count = match arguments {
                // As of `scope_begin`.
                "the same" => 6,
                list => list.split(',').count(),
            };
            assert_eq!(known.arguments.len(), count, "{}", known.name);
        }
    }
}
