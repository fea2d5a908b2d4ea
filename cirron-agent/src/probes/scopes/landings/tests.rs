//! Landings of files that are compiled here, and of the libraries of this machine.
#![expect(clippy::unwrap_used, reason = "tests")]

use object::{Object as _, ObjectSymbol as _};

use super::*;
use crate::probes::source::Source;
use crate::testing::built;

/// `longjmp` ends in a local function that has no name of its own in a stripped file; `__longjmp_chk` calls the same one.
/// `_Unwind_Resume` lands itself, by a return; what is called otherwise is no unwinder.
const PROGRAM: &str = r#"
__asm__(".text\n.globl longjmp, __longjmp_chk, _Unwind_Resume, other, does, lands, returns, elsewhere\n"
    ".type longjmp, @function\nlongjmp:\n .cfi_startproc\n push %rbx\n call does\n ud2\n .cfi_endproc\n.size longjmp, .-longjmp\n"
    ".type __longjmp_chk, @function\n__longjmp_chk:\n .cfi_startproc\n call does\n ud2\n .cfi_endproc\n"
    ".size __longjmp_chk, .-__longjmp_chk\n"
    ".type does, @function\ndoes:\n .cfi_startproc\n mov %rdi, %rbx\n mov %rdx, %rsp\n mov %rsi, %rax\n"
    "lands: jmp *%rcx\n .cfi_endproc\n.size does, .-does\n"
    ".type _Unwind_Resume, @function\n_Unwind_Resume:\n .cfi_startproc\n test %rdi, %rdi\n je 1f\n mov %rcx, %rsp\n"
    "returns: ret\n1: mov %rbp, %rsp\n ret\n .cfi_endproc\n.size _Unwind_Resume, .-_Unwind_Resume\n"
    ".type other, @function\nother:\n .cfi_startproc\n mov %rdx, %rsp\n"
    "elsewhere: jmp *%rcx\n .cfi_endproc\n.size other, .-other\n");
int main(void) { return 0; }
"#;

#[test]
fn an_unwinder_lands_where_the_stack_pointer_is_another_frame_s() {
    let Some(bytes) = built(PROGRAM, &[]) else {
        return;
    };
    let file = object::File::parse(&*bytes).unwrap();
    let symbol = |name: &str| {
        file.symbols()
            .find(|s| s.name() == Ok(name))
            .unwrap()
            .address()
    };
    let whole: &[u8] = &bytes;
    let source = Source::new(&whole);
    let binary = Binary::read(&source).unwrap();
    let at = |name: &str| binary.elf.code_offset_of(symbol(name)).unwrap();
    let found: Vec<_> = find(&binary)
        .iter()
        .map(|l| {
            (
                l.name,
                l.offset.wrapping_add_signed(l.place.offset),
                l.place.depth,
            )
        })
        .collect();
    // Each place once, whoever comes to it; a frame's own base is no other frame.
    assert_eq!(
        found,
        [
            ("_Unwind_Resume", at("returns"), 8),
            ("longjmp", at("lands"), 0),
        ]
    );
}

#[test]
fn a_file_is_looked_at_by_its_name() {
    for path in ["/usr/lib/libgcc_s.so.1", "libc.so.6"] {
        assert!(is_library(path), "{path}");
    }
    for path in [
        "/usr/lib/libgcc_s-1.so",
        "/usr/lib/mylibc.so.6",
        "/libc.so.6/x",
        "",
    ] {
        assert!(!is_library(path), "{path}");
    }
}

/// As this machine's distribution builds them.
#[test]
fn the_libraries_of_this_machine_have_theirs() {
    let dir = std::path::Path::new("/usr/lib/x86_64-linux-gnu");
    for (library, names) in [
        (
            "libgcc_s.so.1",
            &[
                "_Unwind_RaiseException",
                "_Unwind_Resume",
                "_Unwind_ForcedUnwind",
            ][..],
        ),
        ("libc.so.6", &["longjmp"][..]),
    ] {
        let Ok(bytes) = std::fs::read(dir.join(library)) else {
            println!("SKIP no {library} in {}", dir.display());
            continue;
        };
        let whole: &[u8] = &bytes;
        let source = Source::new(&whole);
        let binary = Binary::read(&source).unwrap();
        let found = find(&binary);
        for name in names {
            assert!(
                found.iter().any(|l| l.name == *name),
                "{library}: {found:?}"
            );
        }
    }
}
