//! Records: a checked view of the bytes that came from the kernel.
