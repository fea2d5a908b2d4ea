//! The probe table: what is attached where, whether we can do without it, and what became of it.

use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf};

use super::{LoadError, chain};

/// One row of the probe table.
struct Probe {
    /// ELF name of the program.
    name: &'static str,
    /// The tracepoint it is attached to.
    tracepoint: &'static str,
    /// Nothing can be seen without it.
    required: bool,
}

const PROBES: &[Probe] = &[
    Probe {
        name: "socket_syscall_exit",
        tracepoint: "sys_exit",
        required: true,
    },
    Probe {
        name: "tcp_state_change",
        tracepoint: "inet_sock_set_state",
        required: false,
    },
    Probe {
        name: "process_fork",
        tracepoint: "sched_process_fork",
        required: true,
    },
    Probe {
        name: "process_exec",
        tracepoint: "sched_process_exec",
        required: false,
    },
    Probe {
        name: "process_exit",
        tracepoint: "sched_process_exit",
        required: false,
    },
    // From 6.0; it counts what is not seen, and nothing is seen less without it.
    Probe {
        name: "uring_submit",
        tracepoint: "io_uring_submit_req",
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
            Ok(()) => ProbeVerdict {
                name: probe.name,
                verdict: "attached",
                detail: String::new(),
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

fn attach_one(ebpf: &mut Ebpf, btf: &Btf, probe: &Probe) -> Result<(), String> {
    let program: &mut BtfTracePoint = ebpf
        .program_mut(probe.name)
        .ok_or("not in the eBPF object")?
        .try_into()
        .map_err(|e| format!("{e}"))?;
    program.load(probe.tracepoint, btf).map_err(|e| chain(&e))?;
    program.attach().map_err(|e| chain(&e))?;
    Ok(())
}
