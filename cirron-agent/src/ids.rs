//! Ids of spans, marks, requests and batches: UUID4, as the SDK makes them.

use cirron_core::id::{Id, IdSource};

/// Makes UUID4s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uuid4Ids;

impl IdSource for Uuid4Ids {
    fn next_id(&mut self) -> Id {
        Id(*uuid::Uuid::new_v4().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_4_and_differ() {
        let (a, b) = (Uuid4Ids.next_id(), Uuid4Ids.next_id());
        assert_ne!(a, b);
        assert_eq!(a.0[6] >> 4, 4);
        assert_eq!(a.0[8] >> 6, 0b10);
        assert_eq!(a.to_string().len(), 32);
    }
}
