//! A family that no room beside it knows of: functions of a small C program, whose arguments stand where no TLS library has
//! them. They are watched by the programs as they are. Needs root and a C compiler; without it says so.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cirron_common::Signature;
use cirron_common::operand::{Convention, Operand, Register};
use cirron_common::record::source;
use cirron_common::tls::op;
use cirron_core::record::{Body, Direction, Record};
use object::{Object as _, ObjectSymbol as _};

use super::attacher::points;
use crate::kernel::{Kernel, Links, LoadOptions, Point, Policy, Uprobes, records};
use crate::probes::locate::symbol::Found;
use crate::probes::locate::{Binary, Located, Locator};
use crate::probes::place::{Choice, Ways};
use crate::probes::plan::{Plan, plan_with};
use crate::probes::quiet::Quiet;
use crate::probes::tls::functions::Function;
use crate::testing::compiled;

/// It takes milliseconds, and more where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(30);

const PROGRAM: &str = r#"
#include <string.h>
#include <unistd.h>

struct message { void *owner; const char *text; unsigned short length; };

/* Object, buffer and an out-pointer to 4 bytes are on the stack. */
__attribute__((noipa))
int odd_read(int a, int b, int c, int d, int e, int f, void *object, char *into, int *n) {
    memcpy(into, "from the stack", 14);
    *n = 14;
    return a + b + c + d + e + f;
}

/* All is in memory: object, buffer, and a length of 2 bytes that is known before. */
__attribute__((noipa))
int odd_write(int fails, struct message *m) {
    return fails ? -1 : 1;
}

/* The buffer is an element of an array, and the number of bytes is always the same. */
__attribute__((noipa))
void odd_pick(void *object, const char **texts, long i) {
    __asm__ volatile("" ::: "memory");
}

/* The result is a byte with a sign. */
__attribute__((noipa))
signed char odd_tiny(void *object, const char *text, int n) {
    return (signed char)n;
}

int main(void) {
    char go, into[32], one, two, three, four;
    int n;
    /* On the stack: a page of constants that nobody has read is not there to be copied. */
    char first[] = "first", other[] = "other", text[] = "out of memory", minus[] = "-128 bytes", few[] = "tiny";
    const char *texts[] = { first, other, first };
    struct message sent = { &two, text, 6 };
    struct message failed = { &two, text, 5 };
    while (read(0, &go, 1) == 1) {
        odd_read(1, 0, 0, 0, 0, 0, &one, into, &n);
        odd_read(0, 0, 0, 0, 0, 0, &one, into, &n);
        odd_write(0, &sent);
        odd_write(1, &failed);
        odd_pick(&three, texts, 1);
        odd_tiny(&four, minus, -128);
        odd_tiny(&four, few, 4);
    }
    return 0;
}
"#;

const C: Convention = Convention::SystemV;

const fn row(name: &'static str, signature: Signature) -> Function {
    Function {
        name,
        convention: C,
        signature,
        has_exit: true,
    }
}

static FAMILY: [Function; 4] = [
    row(
        "odd_read",
        Signature {
            op: op::READ,
            object: C.argument(6),
            buffer: C.argument(7),
            moved: C.argument(8).pointee().signed(4),
            success: C.result().signed(4),
            name: Operand::ABSENT,
        },
    ),
    row(
        "odd_write",
        Signature {
            op: op::WRITE,
            object: Operand::memory(Register::Rsi, 0),
            buffer: Operand::memory(Register::Rsi, 8),
            moved: Operand::memory(Register::Rsi, 16).unsigned(2),
            success: C.result().signed(4),
            name: Operand::ABSENT,
        },
    ),
    row(
        "odd_pick",
        Signature {
            op: op::WRITE,
            object: C.argument(0),
            buffer: Operand::memory(Register::Rsi, 0).indexed(Register::Rdx, 3),
            moved: Operand::constant(5),
            success: Operand::ABSENT,
            name: Operand::ABSENT,
        },
    ),
    row(
        "odd_tiny",
        Signature {
            op: op::WRITE,
            object: C.argument(0),
            buffer: C.argument(1),
            moved: C.result().signed(1),
            success: Operand::ABSENT,
            name: Operand::ABSENT,
        },
    ),
];

/// Finds the family's functions: name, address and bytes of each.
struct Odd(Vec<(String, u64, u64)>);

impl Odd {
    fn read(program: &Path) -> Odd {
        let bytes = fs::read(program).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let symbols = file.symbols().map(|s| {
            (
                s.name().unwrap_or_default().to_owned(),
                s.address(),
                s.size(),
            )
        });
        Odd(symbols.collect())
    }
}

impl Locator for Odd {
    fn locate(&self, binary: &Binary<'_>, located: &mut Located) {
        for function in &FAMILY {
            let (_, address, size) = self.0.iter().find(|s| s.0 == function.name).unwrap();
            let offset = binary.elf.offset_of(*address).unwrap();
            located.functions.push(Found {
                function,
                address: *address,
                offset,
                code: binary.elf.function(offset, *size).unwrap(),
                ways: Ways::default(),
            });
        }
    }
}

fn kernel(links: Links) -> Option<Kernel> {
    let options = LoadOptions {
        ring_bytes: 1 << 20,
        halvings: 0,
        links,
        tells_listeners: false,
    };
    match Kernel::load(&options) {
        Ok(kernel) => Some(kernel),
        Err(e) => {
            let is_required = std::env::var_os("CIRRON_REQUIRE_BPF").is_some();
            assert!(!is_required && !rustix::process::geteuid().is_root(), "{e}");
            println!("SKIP: {e}");
            None
        }
    }
}

fn attach(uprobes: &Uprobes, program: &Path) {
    let file = File::open(program).unwrap();
    let odd = Odd::read(program);
    let look = plan_with(&Quiet::new(&file), Choice::Cheapest, &[&odd]);
    let Plan::Watch(functions) = look.plan else {
        panic!("{:?}", look.refused)
    };
    assert_eq!(functions.len(), FAMILY.len(), "{:?}", look.refused);
    let points: Vec<Point> = functions.iter().flat_map(points).collect();
    let path = CString::new(program.as_os_str().as_bytes()).unwrap();
    uprobes.attach(&path, &points).unwrap();
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is told of the program's four objects, in the order of their last bytes.
fn told(links: Links) -> Option<Vec<(Direction, String)>> {
    let dir = tempfile::tempdir().unwrap();
    let Some(program) = compiled(dir.path(), PROGRAM, &[]) else {
        println!("SKIP: no C compiler");
        return None;
    };
    let mut kernel = kernel(links)?;
    let uprobes = kernel.take_uprobes().unwrap();
    attach(&uprobes, &program);
    let child = Command::new(&program).stdin(Stdio::piped()).spawn();
    let mut child = Ended(child.unwrap());
    let pid = child.0.id();
    kernel.set_target(pid, Policy::default()).unwrap();
    let mut stdin = child.0.stdin.take().unwrap();
    stdin.write_all(b"g").unwrap();
    drop(stdin);
    let mut reader = kernel.take_reader().unwrap();
    let began = Instant::now();
    let mut told = Vec::new();
    while began.elapsed() < PATIENCE {
        let mut batch = Vec::new();
        reader
            .read(Duration::from_millis(50), &mut batch, 1 << 20)
            .unwrap();
        for bytes in records(&batch) {
            let record = Record::decode(bytes).unwrap();
            if record.head.tgid != pid {
                continue;
            }
            if let Body::Data(data) = record.body
                && record.head.source == source::TLS
            {
                let text = String::from_utf8_lossy(data.bytes).into_owned();
                told.push((data.direction, text));
            }
            if record.body == Body::Exit {
                return Some(told);
            }
        }
    }
    panic!("the program did not end: {told:?}")
}

#[test]
fn a_function_of_a_known_convention_needs_no_program_of_its_own() {
    for links in [Links::Fewest, Links::Single] {
        let Some(told) = told(links) else { return };
        let expected = [
            (Direction::Inbound, "from the stack"),
            (Direction::Outbound, "out of"),
            (Direction::Outbound, "other"),
            (Direction::Outbound, "tiny"),
        ];
        let expected = expected.map(|(direction, text)| (direction, text.to_owned()));
        assert_eq!(told, expected, "{links:?}");
    }
}
