//! The probes: machine code, notes and semaphores, and a safe function for each probe.
//!
//! Everything above calls these functions. What lies beneath them is the kernel's: a tracer finds
//! the notes in `.note.stapsdt`, puts a breakpoint on the `nop`, and raises the semaphore.
//!
//! ```text
//! scope!() ─▶ begin ─▶ sites::hit ──call──▶ stub:  nop; nop5; ret      .text, a group of its own
//!                          │                 note:  address, semaphore, "cirron", name, operands
//!                          └─ listens() ◀──load── semaphore: u16       .probes
//! ```
//!
//! **One stub for each probe, and no probe in the code of the macros.** A stub is a function of its
//! own that keeps nothing on the stack, and it is reached by `call`: whatever its caller kept below
//! the stack pointer was dead before that `call` wrote its return address there. So a tracer may
//! push below the stack pointer at the `nop` (kernels from 6.18 on turn a 5-byte `nop` into a call),
//! and destroys nothing. A probe inlined into a leaf function has no such guarantee: that function
//! may keep data in the 128 bytes below its stack pointer.
//!
//! **Two nops.** The note names the first, of one byte, which every kernel emulates without a
//! single step. The second, of five bytes, is at the next address and does not cross 16 bytes: it
//! is for kernels that optimise such a probe.
//!
//! **Groups.** Stub, note and semaphore of a probe are one section group (`comdat`) under the name
//! of the probe: the linker keeps one of it in a program or shared object, also where a C file
//! that includes `cirron.h` or another version of this crate brings the same, and drops note and
//! semaphore together with a stub that nobody calls.
//!
//! The symbols are hidden: a site lies in the same program or shared object as this crate, as where
//! cargo links it statically, which it does unless a crate of type `dylib` comes between.
//!
//! It does not decide anything: identity, nesting and limits are above. On other systems than Linux
//! on x86-64 and aarch64 every function here is empty and `listens` is false at compile time.

/// The machine code of a probe and what tells of it.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
macro_rules! stub {
    ($name:literal, $operands:expr) => {
        core::arch::global_asm!(concat!(
            // Link-time optimisation may bring the same text twice into one assembly.
            ".ifndef cirron_probe_",
            $name,
            "\n",
            ".pushsection .text.cirron_probe_",
            $name,
            ",\"axG\",@progbits,cirron_probe_",
            $name,
            ",comdat\n",
            ".weak cirron_probe_",
            $name,
            "\n",
            ".hidden cirron_probe_",
            $name,
            "\n",
            ".type cirron_probe_",
            $name,
            ",@function\n",
            ".balign 16\n",
            "cirron_probe_",
            $name,
            ":\n",
            ".cfi_startproc\n",
            nops!(),
            "ret\n",
            ".cfi_endproc\n",
            ".size cirron_probe_",
            $name,
            ",.-cirron_probe_",
            $name,
            "\n",
            ".popsection\n",
            ".pushsection .probes,\"awG\",@progbits,cirron_probe_",
            $name,
            ",comdat\n",
            ".weak cirron_probe_",
            $name,
            "_semaphore\n",
            ".hidden cirron_probe_",
            $name,
            "_semaphore\n",
            ".type cirron_probe_",
            $name,
            "_semaphore,@object\n",
            ".balign 2\n",
            "cirron_probe_",
            $name,
            "_semaphore:\n",
            ".2byte 0\n",
            ".size cirron_probe_",
            $name,
            "_semaphore,2\n",
            ".popsection\n",
            // The base is where prelink would be seen to have moved the file; tools expect it.
            ".ifndef _.stapsdt.base\n",
            ".pushsection .stapsdt.base,\"aG\",@progbits,.stapsdt.base,comdat\n",
            ".weak _.stapsdt.base\n",
            ".hidden _.stapsdt.base\n",
            "_.stapsdt.base:\n",
            ".space 1\n",
            ".size _.stapsdt.base,1\n",
            ".popsection\n",
            ".endif\n",
            ".pushsection .note.stapsdt,\"G\",@note,cirron_probe_",
            $name,
            ",comdat\n",
            ".balign 4\n",
            ".4byte .Lcirron_",
            $name,
            "_owned-.Lcirron_",
            $name,
            "_owner\n",
            ".4byte .Lcirron_",
            $name,
            "_end-.Lcirron_",
            $name,
            "_content\n",
            ".4byte 3\n",
            ".Lcirron_",
            $name,
            "_owner:\n",
            ".asciz \"stapsdt\"\n",
            ".Lcirron_",
            $name,
            "_owned:\n",
            ".balign 4\n",
            ".Lcirron_",
            $name,
            "_content:\n",
            ".8byte cirron_probe_",
            $name,
            "\n",
            ".8byte _.stapsdt.base\n",
            ".8byte cirron_probe_",
            $name,
            "_semaphore\n",
            ".asciz \"cirron\"\n",
            ".asciz \"",
            $name,
            "\"\n",
            ".asciz \"",
            $operands,
            "\"\n",
            ".Lcirron_",
            $name,
            "_end:\n",
            ".balign 4\n",
            ".popsection\n",
            ".endif\n",
        ));
    };
}

/// What stands at the address that the note names.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
macro_rules! nops {
    () => {
        ".byte 0x90\n.byte 0x0f,0x1f,0x44,0x00,0x00\n"
    };
}
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
macro_rules! nops {
    () => {
        "nop\n"
    };
}

/// The operands of a note, as its grammar writes where the first arguments of a C function lie:
/// the seventh and eighth are on the stack on x86-64, above the return address.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
macro_rules! operands {
    (1) => {
        "8@%rdi"
    };
    (2) => {
        "8@%rdi 8@%rsi"
    };
    (6) => {
        "8@%rdi 8@%rsi 8@%rdx 8@%rcx 8@%r8 8@%r9"
    };
    (8) => {
        "8@%rdi 8@%rsi 8@%rdx 8@%rcx 8@%r8 8@%r9 8@8(%rsp) 8@16(%rsp)"
    };
}
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
macro_rules! operands {
    (1) => {
        "8@x0"
    };
    (2) => {
        "8@x0 8@x1"
    };
    (6) => {
        "8@x0 8@x1 8@x2 8@x3 8@x4 8@x5"
    };
    (8) => {
        "8@x0 8@x1 8@x2 8@x3 8@x4 8@x5 8@x6 8@x7"
    };
}

/// The semaphore's value, by one instruction of x86-64: through a declared static the compiler would
/// load its address first. The kernel writes it at any time, so that each load is done.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
macro_rules! load {
    ($name:literal) => {{
        let value: u32;
        // SAFETY: the stub's assembly defines it, aligned and of this size; it is only read.
        unsafe {
            core::arch::asm!(
                concat!("movzx {0:e}, word ptr [rip + cirron_probe_", $name, "_semaphore]"),
                out(reg) value,
                options(nostack, preserves_flags, readonly),
            );
        }
        value
    }};
}
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
macro_rules! load {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: the stub's assembly defines it, aligned and of this size; it is only read.
        unsafe {
            core::arch::asm!(
                concat!("adrp {0}, cirron_probe_", $name, "_semaphore"),
                concat!("ldrh {0:w}, [{0}, :lo12:cirron_probe_", $name, "_semaphore]"),
                out(reg) value,
                options(nostack, preserves_flags, readonly),
            );
        }
        value
    }};
}

/// One probe as a Rust module: whether somebody listens, and the hit.
macro_rules! site {
    (
        $(#[$doc:meta])*
        $module:ident $name:literal $arity:tt
        $stub:literal
        ($($argument:ident: $type:ty),+)
    ) => {
        $(#[$doc])*
        pub(crate) mod $module {
            #[cfg(all(
                target_os = "linux",
                any(target_arch = "x86_64", target_arch = "aarch64")
            ))]
            mod native {
                stub!($name, operands!($arity));

                extern "C" {
                    #[link_name = $stub]
                    fn stub($($argument: $type),+);
                }

                #[inline(always)]
                pub(crate) fn listens() -> bool {
                    load!($name) != 0
                }

                #[inline]
                pub(crate) fn hit(arguments: ($($type,)+)) {
                    let ($($argument,)+) = arguments;
                    // SAFETY: the stub is a C function of these arguments, which returns at once
                    // and touches no memory. A tracer only reads.
                    unsafe { stub($($argument),+) }
                }
            }

            #[cfg(not(all(
                target_os = "linux",
                any(target_arch = "x86_64", target_arch = "aarch64")
            )))]
            mod native {
                #[inline(always)]
                pub(crate) fn listens() -> bool {
                    false
                }

                #[inline]
                pub(crate) fn hit(arguments: ($($type,)+)) {
                    let ($($argument,)+) = arguments;
                    let _ = ($($argument,)+);
                }
            }

            pub(crate) use native::{hit, listens};
        }
    };
}

site! {
    /// A scope begins, and this thread works for it.
    scope_begin "scope_begin" 6
    "cirron_probe_scope_begin"
    (id: u64, parent: u64, name: *const u8, name_len: u64, attributes: *const u8, attributes_len: u64)
}
site! {
    /// A scope begins, and no thread works for it yet.
    scope_open "scope_open" 6
    "cirron_probe_scope_open"
    (id: u64, parent: u64, name: *const u8, name_len: u64, attributes: *const u8, attributes_len: u64)
}
site! {
    /// A request begins, and this thread works for it.
    request_begin "request_begin" 6
    "cirron_probe_request_begin"
    (id: u64, parent: u64, request: *const u8, request_len: u64, attributes: *const u8, attributes_len: u64)
}
site! {
    /// A request begins, and no thread works for it yet.
    request_open "request_open" 6
    "cirron_probe_request_open"
    (id: u64, parent: u64, request: *const u8, request_len: u64, attributes: *const u8, attributes_len: u64)
}
site! {
    /// This thread works for a scope from here on.
    scope_enter "scope_enter" 1
    "cirron_probe_scope_enter"
    (id: u64)
}
site! {
    /// This thread works for a scope no more.
    scope_exit "scope_exit" 1
    "cirron_probe_scope_exit"
    (id: u64)
}
site! {
    /// A scope or a request ends, and every thread that worked for it does so no more.
    scope_end "scope_end" 2
    "cirron_probe_scope_end"
    (id: u64, outcome: u64)
}
site! {
    /// A value is attached to a scope.
    mark "mark" 8
    "cirron_probe_mark"
    (
        scope: u64, name: *const u8, name_len: u64, kind: u64,
        value: u64, value_len: u64, attributes: *const u8, attributes_len: u64
    )
}
site! {
    /// Something was left out, to keep a limit.
    dropped "dropped" 2
    "cirron_probe_dropped"
    (reason: u64, total: u64)
}

/// The next identity: never 0, once in this program or shared object.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod ids {
    use core::sync::atomic::{AtomicU64, Ordering};

    core::arch::global_asm!(
        ".ifndef cirron_probe_ids",
        ".pushsection .bss.cirron_probe_ids,\"awG\",@nobits,cirron_probe_ids,comdat",
        ".weak cirron_probe_ids",
        ".hidden cirron_probe_ids",
        ".type cirron_probe_ids,@object",
        ".balign 8",
        "cirron_probe_ids:",
        ".zero 8",
        ".size cirron_probe_ids,8",
        ".popsection",
        ".endif",
    );

    extern "C" {
        #[link_name = "cirron_probe_ids"]
        static LAST: AtomicU64;
    }

    pub(crate) fn next_id() -> u64 {
        // SAFETY: the assembly above defines it, aligned and of this size.
        unsafe { LAST.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod ids {
    pub(crate) fn next_id() -> u64 {
        // Nobody can listen here, so that nobody asks.
        0
    }
}

pub(crate) use ids::next_id;
