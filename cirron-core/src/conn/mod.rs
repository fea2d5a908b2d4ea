//! Connections: one entry per socket and generation.
