//! Shared test helpers: every split, every gap.
