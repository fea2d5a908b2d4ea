//! The tables of a file of which it has one, and every key that it may have at its top.
//!
//! A section is a module with a table of keys, and a row here: then it is read from file and environment, and refused
//! where it is wrong.

use serde_json::Value;

use super::keys::RULES;
use super::kubernetes::{KUBERNETES_KEYS, Kubernetes};
use super::schema::{Key, Problem, Section as _, read_section, takes};
use super::ship::{SHIP_KEYS, Ship};
use super::target::{SHIPPED, TARGETS};

/// Keys at the top of a file that are no sections. What they are set to is written as TOML, also in an environment.
pub const TOP_KEYS: [&str; 3] = [RULES, TARGETS, SHIPPED];

/// The sections, each with its keys.
pub const SECTIONS: [(&str, &[Key]); 2] =
    [(Kubernetes::NAME, KUBERNETES_KEYS), (Ship::NAME, SHIP_KEYS)];

/// What all of them are set to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sections {
    /// `[kubernetes]`
    pub kubernetes: Kubernetes,
    /// `[ship]`
    pub ship: Ship,
}

impl Sections {
    /// Those of files, the first asked first, each with the number that its problems have.
    ///
    /// # Errors
    /// Everything that is wrong in them.
    pub fn read(files: &[(usize, &Value)]) -> Result<Sections, Vec<Problem>> {
        let (kubernetes, mut problems) = read_section(files);
        let (ship, further) = read_section(files);
        problems.extend(further);
        match problems.is_empty() {
            true => Ok(Sections { kubernetes, ship }),
            false => Err(problems),
        }
    }

    /// Whether a key of a section takes a value.
    pub fn take(section: &str, key: &str, value: &Value) -> bool {
        match section {
            Kubernetes::NAME => takes::<Kubernetes>(key, value),
            Ship::NAME => takes::<Ship>(key, value),
            _ => false,
        }
    }
}

/// Keys of a file that are for others than the rules of exchanges.
pub(super) fn others() -> Vec<&'static str> {
    let sections = SECTIONS.iter().map(|(name, _)| *name);
    [TARGETS, SHIPPED].into_iter().chain(sections).collect()
}

/// What of a file is for the rules of exchanges.
pub fn rules_alone(mut file: Value) -> Value {
    if let Value::Object(map) = &mut file {
        let others = others();
        map.retain(|key, _| !others.contains(&key.as_str()));
    }
    file
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_of_exchanges_do_not_see_the_others() {
        let file = json!({"targets": [], "shipped_targets": true, "kubernetes": {}, "ship": {}, "rules": []});
        assert_eq!(rules_alone(file), json!({"rules": []}));
    }

    #[test]
    fn every_section_is_read() {
        for (name, keys) in SECTIONS {
            let wrong = json!({ name: {"nobody_knows_it": 1} });
            assert!(Sections::read(&[(0, &wrong)]).is_err(), "{name}");
            for key in keys {
                assert!(
                    !Sections::take(name, key.name, &json!({})),
                    "{name}.{}",
                    key.name
                );
            }
        }
    }
}
