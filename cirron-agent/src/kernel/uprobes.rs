//! Probes inside the functions of TLS libraries.
//!
//! One link for each file and offset, for all processes: which of them are targets is the
//! programs' own filter, so that a second process with the same library costs nothing more.

use std::path::Path;

use anyhow::Context as _;
use aya::Ebpf;
use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeScope};

/// The programs that stand inside functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UprobeProgram {
    /// On an entry.
    Enter,
    /// On an exit.
    Exit,
    /// On an entry of a Go function.
    GoEnter,
    /// On an exit of a Go function.
    GoExit,
}

impl UprobeProgram {
    const ALL: [UprobeProgram; 4] = [
        UprobeProgram::Enter,
        UprobeProgram::Exit,
        UprobeProgram::GoEnter,
        UprobeProgram::GoExit,
    ];

    /// ELF name of the program.
    pub fn name(self) -> &'static str {
        match self {
            UprobeProgram::Enter => "tls_enter",
            UprobeProgram::Exit => "tls_exit",
            UprobeProgram::GoEnter => "go_enter",
            UprobeProgram::GoExit => "go_exit",
        }
    }
}

/// Attaches them. Owns all programs of the kernel side: dropping it detaches.
pub struct Uprobes {
    ebpf: Ebpf,
    loaded: bool,
}

impl std::fmt::Debug for Uprobes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Uprobes")
    }
}

impl Uprobes {
    pub(super) fn new(ebpf: Ebpf) -> Uprobes {
        Uprobes {
            ebpf,
            loaded: false,
        }
    }

    fn program(&mut self, program: UprobeProgram) -> anyhow::Result<&mut UProbe> {
        let name = program.name();
        let found = self.ebpf.program_mut(name).context(name)?;
        Ok(found.try_into()?)
    }

    /// Whether the programs are loaded.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Loads the programs, the first time.
    ///
    /// # Errors
    /// Where the kernel refuses one.
    pub fn load(&mut self) -> anyhow::Result<()> {
        if self.loaded {
            return Ok(());
        }
        for program in UprobeProgram::ALL {
            self.program(program)?.load().context(program.name())?;
        }
        self.loaded = true;
        Ok(())
    }

    /// Puts `program` at `offset` of the file `path`; `cookie` is one of
    /// `cirron_common::tls::cookie`'s.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn attach(
        &mut self,
        program: UprobeProgram,
        path: &Path,
        offset: u64,
        cookie: u64,
    ) -> anyhow::Result<()> {
        let point = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(offset),
            cookie: Some(cookie),
        };
        self.program(program)?
            .attach(point, path, UProbeScope::AllProcesses)
            .with_context(|| format!("{}+{offset:#x}", path.display()))?;
        Ok(())
    }
}
