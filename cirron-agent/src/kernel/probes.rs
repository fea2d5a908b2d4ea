//! The probe table: what is attached where, whether we can do without it, and what became of it.

use aya::programs::{BtfTracePoint, TracePoint};
use aya::util::KernelVersion;
use aya::{Btf, Ebpf};

use super::{LoadError, chain};

/// One row of the probe table.
struct Probe {
    /// ELF name of the program.
    name: &'static str,
    /// The tracepoint it is attached to.
    tracepoint: &'static str,
    /// Another place for it, on some kernels.
    other: Option<Other>,
    /// Nothing can be seen without it.
    required: bool,
}

/// A place that is tried before or after the ordinary one.
#[derive(Clone, Copy)]
enum Other {
    /// A kernel passes a program over while another thread is in it on the same processor. On 7.2 and 7.3
    /// threads are preempted in one, and calls of others are lost, without a trace of whose
    /// (`docs/kernels.md`). An event of perf's still runs its programs without preemption, and costs more.
    NotPreempted {
        program: &'static str,
        category: &'static str,
        name: &'static str,
    },
    /// The name that the tracepoint had from 6.0 to 6.3, with the same first argument. Before, its first
    /// was another.
    Earlier(&'static str),
}

/// From here on a program on a typed tracepoint may be preempted.
const PREEMPTS_FROM: KernelVersion = KernelVersion::new(7, 0, 0);
/// The first version with [`Other::Earlier`]'s arguments.
const EARLIER_FROM: KernelVersion = KernelVersion::new(6, 0, 0);

fn running(at_least: KernelVersion) -> bool {
    KernelVersion::current().is_ok_and(|running| running >= at_least)
}

const PROBES: &[Probe] = &[
    Probe {
        name: "socket_syscall_exit",
        tracepoint: "sys_exit",
        other: Some(Other::NotPreempted {
            program: "socket_syscall_perf",
            category: "raw_syscalls",
            name: "sys_exit",
        }),
        required: true,
    },
    Probe {
        name: "tcp_state_change",
        tracepoint: "inet_sock_set_state",
        other: None,
        required: false,
    },
    // Without it the times of arrivals are as exact as the kernel's tick.
    Probe {
        name: "tcp_reading",
        tracepoint: "tcp_rcv_space_adjust",
        other: None,
        required: false,
    },
    Probe {
        name: "process_fork",
        tracepoint: "sched_process_fork",
        other: None,
        required: true,
    },
    Probe {
        name: "process_exec",
        tracepoint: "sched_process_exec",
        other: None,
        required: false,
    },
    Probe {
        name: "process_exit",
        tracepoint: "sched_process_exit",
        other: None,
        required: false,
    },
    // It counts what is not seen, and nothing is seen less without it.
    Probe {
        name: "uring_submit",
        tracepoint: "io_uring_submit_req",
        other: Some(Other::Earlier("io_uring_submit_sqe")),
        required: false,
    },
];

/// What became of one row of the probe table, or of the uprobes.
#[derive(Clone, Debug)]
pub struct ProbeVerdict {
    /// ELF name of the program; `uprobes` for all of those.
    pub name: &'static str,
    /// `attached`, `loaded` (attached where a target has a TLS library), `broken`.
    pub verdict: &'static str,
    /// Why, where it is not attached; how, where it will be.
    pub detail: String,
}

/// Attaches every row. Fails with every required row that was refused, at once.
pub(super) fn attach(ebpf: &mut Ebpf, btf: &Btf) -> Result<Vec<ProbeVerdict>, LoadError> {
    let mut verdicts = Vec::new();
    let mut refused = Vec::new();
    for probe in PROBES {
        let verdict = match attach_one(ebpf, btf, probe) {
            Ok(detail) => ProbeVerdict {
                name: probe.name,
                verdict: "attached",
                detail,
            },
            Err(detail) => {
                if probe.required {
                    refused.push(format!(
                        "{} (tp_btf/{}): {detail}",
                        probe.name, probe.tracepoint
                    ));
                }
                ProbeVerdict {
                    name: probe.name,
                    verdict: "broken",
                    detail,
                }
            }
        };
        verdicts.push(verdict);
    }
    if refused.is_empty() {
        return Ok(verdicts);
    }
    Err(LoadError::Refused {
        what: format!("the kernel refused: {}", refused.join("; ")),
        fix: "run `cirron-agent doctor` as root and see what is missing".to_owned(),
    })
}

/// Attaches it, and says how where that is not as usual.
fn attach_one(ebpf: &mut Ebpf, btf: &Btf, probe: &Probe) -> Result<String, String> {
    match probe.other {
        Some(Other::NotPreempted {
            program,
            category,
            name,
        }) if running(PREEMPTS_FROM) => match attach_perf(ebpf, program, category, name) {
            Ok(()) => Ok(format!("on {category}:{name}, not to be preempted")),
            Err(why) => {
                attach_typed(ebpf, btf, probe.name, probe.tracepoint)?;
                Ok(format!("may be preempted, {category}:{name}: {why}"))
            }
        },
        Some(Other::Earlier(earlier)) if running(EARLIER_FROM) => {
            attach_typed(ebpf, btf, probe.name, probe.tracepoint)
                .or_else(|why| attach_typed(ebpf, btf, probe.name, earlier).map_err(|_| why))?;
            Ok(String::new())
        }
        Some(_) | None => {
            attach_typed(ebpf, btf, probe.name, probe.tracepoint).map(|()| String::new())
        }
    }
}

fn attach_typed(ebpf: &mut Ebpf, btf: &Btf, name: &str, tracepoint: &str) -> Result<(), String> {
    let program: &mut BtfTracePoint = ebpf
        .program_mut(name)
        .ok_or("not in the eBPF object")?
        .try_into()
        .map_err(|e| format!("{e}"))?;
    program.load(tracepoint, btf).map_err(|e| chain(&e))?;
    program.attach().map_err(|e| chain(&e))?;
    Ok(())
}

fn attach_perf(ebpf: &mut Ebpf, program: &str, category: &str, name: &str) -> Result<(), String> {
    let program: &mut TracePoint = ebpf
        .program_mut(program)
        .ok_or("not in the eBPF object")?
        .try_into()
        .map_err(|e| format!("{e}"))?;
    program.load().map_err(|e| chain(&e))?;
    program.attach(category, name).map_err(|e| chain(&e))?;
    Ok(())
}
