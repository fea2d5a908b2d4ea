//! The probe table: what stands where, whether we can do without it, and what became of it.
//!
//! A row is a group of places, of which one is taken: the first that the kernel takes. Which places a kernel has is tried, not
//! told by its version. The exception is [`Place::NotPreempted`], whose need no attempt shows.

use std::fmt;

use aya::programs::{BtfTracePoint, Program, ProgramError, TracePoint};
use aya::util::KernelVersion;
use aya::{Btf, Ebpf};
use cirron_common::KernelConfig;

use super::btf;
use super::error::{LoadError, Refusal};
use super::verdict::{Failure, ProbeVerdict, Verdict};

/// One row of the probe table.
struct Group {
    /// ELF name of the program that usually stands there.
    name: &'static str,
    /// The places, best first.
    one_of: &'static [Place],
    /// Nothing can be seen without it.
    required: bool,
    /// Why this kernel gives it nothing to see; `None`: it does.
    idle: fn(&KernelConfig) -> Option<&'static str>,
}

/// A place for a program.
#[derive(Clone, Copy)]
enum Place {
    /// A BTF-typed tracepoint.
    Typed(&'static str),
    /// The same, where its first argument is a pointer to this structure: the name had other arguments before.
    TypedWith(&'static str, &'static str),
    /// An event of perf's for another program, on kernels that preempt programs on typed tracepoints: while a thread is
    /// preempted in one, the kernel passes it over for others on that processor, and calls are lost without a
    /// trace of whose (`docs/kernels.md`). An event of perf's still runs its programs without preemption, and costs more.
    NotPreempted {
        program: &'static str,
        category: &'static str,
        name: &'static str,
    },
}

/// From here on a program on a typed tracepoint may be preempted. Nothing that could be tried tells.
const PREEMPTS_FROM: KernelVersion = KernelVersion::new(7, 0, 0);

fn always(_: &KernelConfig) -> Option<&'static str> {
    None
}

const GROUPS: &[Group] = &[
    Group {
        name: "socket_syscall_exit",
        one_of: &[
            Place::NotPreempted {
                program: "socket_syscall_perf",
                category: "raw_syscalls",
                name: "sys_exit",
            },
            Place::Typed("sys_exit"),
        ],
        required: true,
        idle: always,
    },
    Group {
        name: "tcp_state_change",
        one_of: &[Place::Typed("inet_sock_set_state")],
        required: false,
        idle: always,
    },
    // Without it the times of arrivals are as exact as the kernel's tick.
    Group {
        name: "tcp_reading",
        one_of: &[Place::Typed("tcp_rcv_space_adjust")],
        required: false,
        idle: |config| {
            (config.tcp_known == 0).then_some("this kernel does not tell when bytes came")
        },
    },
    Group {
        name: "process_fork",
        one_of: &[Place::Typed("sched_process_fork")],
        required: true,
        idle: always,
    },
    Group {
        name: "process_exec",
        one_of: &[Place::Typed("sched_process_exec")],
        required: false,
        idle: always,
    },
    Group {
        name: "process_exit",
        one_of: &[Place::Typed("sched_process_exit")],
        required: false,
        idle: always,
    },
    // It counts what is not seen, and nothing is seen less without it.
    Group {
        name: "uring_submit",
        one_of: &[
            Place::Typed("io_uring_submit_req"),
            // Its name from 6.0 to 6.3.
            Place::TypedWith("io_uring_submit_sqe", "io_kiocb"),
        ],
        required: false,
        idle: |config| (config.kiocb_opcode == u32::MAX).then_some("this kernel has no io_uring"),
    },
];

/// What the places are tried on.
pub(super) struct Attempt<'a> {
    pub(super) ebpf: &'a mut Ebpf,
    pub(super) btf: &'a Btf,
    pub(super) config: &'a KernelConfig,
}

/// Attaches one of each group. Fails with every required one that was refused, at once.
pub(super) fn attach(mut attempt: Attempt<'_>) -> Result<Vec<ProbeVerdict>, LoadError> {
    let mut verdicts = Vec::new();
    let mut refused = Vec::new();
    for group in GROUPS {
        verdicts.push(match attempt.group(group) {
            Ok(verdict) => verdict,
            Err(refusal) => {
                if group.required {
                    refused.push(refusal.clone());
                }
                refusal.failure.on(group.name)
            }
        });
    }
    if refused.is_empty() {
        Ok(verdicts)
    } else {
        Err(LoadError::Probes(refused))
    }
}

impl Attempt<'_> {
    /// Takes the first place that the kernel takes. Where none is, the refusal of the first that is there tells why.
    fn group(&mut self, group: &Group) -> Result<ProbeVerdict, Refusal> {
        let verdict = |verdict, detail| ProbeVerdict {
            name: group.name,
            verdict,
            detail,
        };
        if let Some(why) = (group.idle)(self.config) {
            return Ok(verdict(Verdict::NotApplicable, why.to_owned()));
        }
        let mut first: Option<Refusal> = None;
        // What is not as usual with the place that is taken in the end.
        let mut remark = String::new();
        for place in group.one_of {
            if !self.is_for_this_kernel(place) {
                continue;
            }
            match self.put(group.name, place) {
                Ok(()) => {
                    if let Place::NotPreempted { category, name, .. } = place {
                        remark = format!("on {category}:{name}, not to be preempted");
                    }
                    return Ok(verdict(Verdict::Attached, remark));
                }
                Err(failure) => {
                    if let Place::NotPreempted { category, name, .. } = place {
                        remark = format!("may be preempted, {category}:{name}: {failure}");
                        continue;
                    }
                    first.get_or_insert(Refusal {
                        name: group.name,
                        place: place.to_string(),
                        failure,
                    });
                }
            }
        }
        Err(first.unwrap_or_else(|| Refusal {
            name: group.name,
            place: "nowhere".to_owned(),
            failure: Failure::in_object("no place for it"),
        }))
    }

    /// Whether the place is worth an attempt.
    fn is_for_this_kernel(&self, place: &Place) -> bool {
        match place {
            Place::Typed(_) => true,
            Place::TypedWith(tracepoint, first) => btf::takes(tracepoint, first),
            Place::NotPreempted { .. } => {
                KernelVersion::current().is_ok_and(|running| running >= PREEMPTS_FROM)
            }
        }
    }

    fn put(&mut self, program: &str, place: &Place) -> Result<(), Failure> {
        match place {
            Place::Typed(tracepoint) | Place::TypedWith(tracepoint, _) => {
                let btf = self.btf;
                let program: &mut BtfTracePoint = self.program(program)?;
                let done = program
                    .load(tracepoint, btf)
                    .and_then(|()| program.attach().map(drop));
                done.map_err(|e| Failure::from_error(&e))
            }
            Place::NotPreempted {
                program,
                category,
                name,
            } => {
                let program: &mut TracePoint = self.program(program)?;
                let done = program
                    .load()
                    .and_then(|()| program.attach(category, name).map(drop));
                done.map_err(|e| Failure::from_error(&e))
            }
        }
    }

    fn program<'e, P>(&'e mut self, name: &str) -> Result<&'e mut P, Failure>
    where
        &'e mut P: TryFrom<&'e mut Program, Error = ProgramError>,
    {
        let program = self.ebpf.program_mut(name);
        let program = program.ok_or_else(|| Failure::in_object("not in the eBPF object"))?;
        program.try_into().map_err(|e| Failure::from_error(&e))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Typed(name) | Place::TypedWith(name, _) => write!(f, "tp_btf/{name}"),
            Place::NotPreempted { category, name, .. } => write!(f, "{category}:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_a_place_on_every_kernel_and_its_own_name() {
        for group in GROUPS {
            let is_everywhere = |place: &Place| matches!(place, Place::Typed(_));
            assert!(group.one_of.iter().any(is_everywhere), "{}", group.name);
            let same = GROUPS.iter().filter(|g| g.name == group.name);
            assert_eq!(same.count(), 1);
        }
    }

    #[test]
    fn what_a_kernel_does_not_have_is_not_looked_for() {
        let idle = |config: &KernelConfig| -> Vec<&str> {
            let groups = GROUPS.iter().filter(|g| (g.idle)(config).is_some());
            groups.map(|g| g.name).collect()
        };
        let mut config = KernelConfig {
            tcp_known: 1,
            ..KernelConfig::default()
        };
        assert!(idle(&config).is_empty());
        config.tcp_known = 0;
        config.kiocb_opcode = u32::MAX;
        assert_eq!(idle(&config), ["tcp_reading", "uring_submit"]);
        let required = GROUPS.iter().filter(|g| g.required);
        assert!(required.into_iter().all(|g| (g.idle)(&config).is_none()));
    }
}
