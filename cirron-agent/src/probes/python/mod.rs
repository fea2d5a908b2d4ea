//! Python's contexts (`contextvars`): where an image makes and frees them, and where its threads keep the one that they run.
//!
//! ```text
//! mapped image --look--> PyContext_Type, the places of PyContext_CopyCurrent
//! the process's memory --calibrate--> from a thread's storage to its current context; the function that frees contexts
//! ```
//! Pure but for [`memory`], which reads a process's memory and never writes there. All that it reads is the process's choice.

pub mod calibrate;
pub mod look;
pub mod memory;
