//! Numbers that whoever runs a suite asks for, by variables of the environment.

/// That of a variable; where it is not set, `default`.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    let asked = std::env::var_os(variable);
    asked.map_or(default, |text| text.to_str().unwrap().parse().unwrap())
}
