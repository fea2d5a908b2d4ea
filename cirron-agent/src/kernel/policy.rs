//! What of a target is captured: the value that the programs' process filter holds for it.

use cirron_common::tls::target;

/// Of one target; its children inherit it at fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its TLS libraries are watched.
    pub tls: bool,
    /// Its children become targets.
    pub children: bool,
}

impl Default for Policy {
    /// All of it.
    fn default() -> Policy {
        Policy {
            tls: true,
            children: true,
        }
    }
}

impl Policy {
    /// As the programs read it.
    pub(super) fn bits(self) -> u32 {
        let bit = |set, bit| if set { bit } else { 0 };
        bit(self.tls, target::TLS) | bit(self.children, target::CHILDREN)
    }

    /// What the programs read.
    pub(super) fn from_bits(bits: u32) -> Policy {
        Policy {
            tls: bits & target::TLS != 0,
            children: bits & target::CHILDREN != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_a_bit_of_its_own() {
        let bits = |tls, children| Policy { tls, children }.bits();
        assert_eq!(bits(false, false), 0);
        assert_eq!(bits(true, false), target::TLS);
        assert_eq!(bits(false, true), target::CHILDREN);
        assert_eq!(Policy::default().bits(), target::TLS | target::CHILDREN);
        for policy in [(false, false), (true, false), (false, true), (true, true)] {
            let (tls, children) = policy;
            let policy = Policy { tls, children };
            let read = Policy::from_bits(policy.bits() | target::GO);
            assert_eq!(read, policy, "what it runs is no matter of its policy");
        }
    }
}
