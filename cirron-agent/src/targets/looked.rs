//! A process as rules of targets ask about it: each fact is read from procfs when it is first asked for, and once.
//!
//! Sits between the finder and the rules. What may not be read, or went with the process, is not known. Of arguments the
//! first [`MAX_COMMAND_BYTES`] are looked at. Nothing that is read here is kept beyond the look.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::sync::Arc;

use cirron_core::rules::{Candidate, Fact, Workload};

use super::listening::{Tables, are_on};
use super::runtime::Runtimes;
use crate::containers::Containers;
use crate::containers::known::Told;
use crate::discovery::facts::{base_name, environ};
use crate::discovery::{asked, cgroup, identity};

/// Bytes of a command line that are compared. A pattern has 256.
const MAX_COMMAND_BYTES: u64 = 16 * 1024;

/// Bytes of the list of users. One of a large organisation has some thousand lines; past it users have numbers only.
const MAX_PASSWD_BYTES: u64 = 4 * 1024 * 1024;

/// What is the same for all processes of one scan.
#[derive(Debug, Default)]
pub struct Machine {
    tables: RefCell<Tables>,
    runtimes: RefCell<Runtimes>,
    users: OnceCell<HashMap<u32, String>>,
    containers: Containers,
}

impl Machine {
    /// With what is known of its containers.
    pub fn new(containers: Containers) -> Machine {
        Machine {
            containers,
            ..Machine::default()
        }
    }

    /// For the next scan: sockets come and go, users do too; what a file is stays.
    #[must_use]
    pub fn again(self) -> Machine {
        Machine {
            runtimes: self.runtimes,
            ..Machine::new(self.containers)
        }
    }

    /// The name of a user of this machine.
    fn user(&self, id: u32) -> Option<String> {
        let users = self.users.get_or_init(|| {
            let mut text = String::new();
            let file = File::open("/etc/passwd");
            let read = file.map(|file| file.take(MAX_PASSWD_BYTES).read_to_string(&mut text));
            let _ = read;
            text.lines().filter_map(user).collect()
        });
        users.get(&id).cloned()
    }
}

/// Name, password, number, ...
fn user(line: &str) -> Option<(u32, String)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
}

/// A process that is looked at.
pub struct Looked<'m> {
    tgid: u32,
    machine: &'m Machine,
    path: OnceCell<Option<String>>,
    user: OnceCell<Option<u32>>,
    cgroup: OnceCell<Option<String>>,
    environ: OnceCell<Vec<u8>>,
    told: OnceCell<Option<Arc<Told>>>,
    listening: OnceCell<Vec<Option<u16>>>,
    /// It was known to listen.
    listened: bool,
}

impl<'m> Looked<'m> {
    /// The process that has this number now.
    pub fn new(tgid: u32, machine: &'m Machine) -> Looked<'m> {
        Looked {
            tgid,
            machine,
            path: OnceCell::new(),
            user: OnceCell::new(),
            cgroup: OnceCell::new(),
            environ: OnceCell::new(),
            told: OnceCell::new(),
            listening: OnceCell::new(),
            listened: false,
        }
    }

    /// The same of one that was known to listen: it counts as one that does.
    pub fn that_listened(tgid: u32, machine: &'m Machine) -> Looked<'m> {
        Looked {
            listened: true,
            ..Looked::new(tgid, machine)
        }
    }

    /// Its number.
    pub fn tgid(&self) -> u32 {
        self.tgid
    }

    /// The path of its executable; `None`: a thread of the kernel's, or a process that has gone.
    pub fn path(&self) -> Option<&str> {
        let read = || {
            let path = identity::open(self.tgid)?.exe().ok()?;
            let path = path.to_string_lossy();
            Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
        };
        self.path.get_or_init(read).as_deref()
    }

    fn executable(&self) -> Option<String> {
        base_name(self.path()?)
    }

    fn user(&self) -> Option<u32> {
        let read = || Some(identity::open(self.tgid)?.status().ok()?.euid);
        *self.user.get_or_init(read)
    }

    fn cgroup(&self) -> Option<&str> {
        self.cgroup
            .get_or_init(|| cgroup::read(self.tgid))
            .as_deref()
    }

    fn container(&self) -> Option<&str> {
        cgroup::container(self.cgroup()?)
    }

    /// What is known of its container.
    fn told(&self) -> Option<&Told> {
        let ask = || self.machine.containers.told(self.container()?);
        self.told.get_or_init(ask).as_deref()
    }

    fn command(&self) -> Option<String> {
        asked();
        let file = File::open(format!("/proc/{}/cmdline", self.tgid)).ok()?;
        let mut bytes = Vec::new();
        file.take(MAX_COMMAND_BYTES).read_to_end(&mut bytes).ok()?;
        let arguments = String::from_utf8_lossy(&bytes);
        Some(arguments.trim_end_matches('\0').replace('\0', " "))
    }
}

impl Candidate for Looked<'_> {
    fn fact(&self, fact: Fact) -> Option<String> {
        match fact {
            Fact::Executable => self.executable(),
            Fact::Path => self.path().map(str::to_owned),
            Fact::Command => self.command(),
            Fact::User => self.machine.user(self.user()?),
            Fact::UserId => self.user().map(|id| id.to_string()),
            Fact::Cgroup => self.cgroup().map(str::to_owned),
            Fact::Container => self.container().map(str::to_owned),
            Fact::ContainerName => self.told()?.about.name.clone(),
            Fact::Image => self.told()?.about.image.clone(),
            Fact::Pod => Some(self.told()?.about.pod.as_ref()?.name.clone()),
            Fact::Namespace => Some(self.told()?.about.pod.as_ref()?.namespace.clone()),
            Fact::Runtime => {
                let executable = self.executable()?;
                let mut runtimes = self.machine.runtimes.borrow_mut();
                runtimes.runtime(self.tgid, &executable).map(str::to_owned)
            }
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let environ = self.environ.get_or_init(|| environ(self.tgid));
        environ.split(|byte| *byte == 0).find_map(|entry| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        })
    }

    fn label(&self, name: &str) -> Option<String> {
        self.told()?.about.pod.as_ref()?.labels.get(name).cloned()
    }

    fn workload(&self) -> Workload {
        match self.container() {
            Some(id) => self.machine.containers.workload(id),
            None => Workload::Known,
        }
    }

    fn listens(&self, ports: Option<&[RangeInclusive<u16>]>) -> bool {
        if ports.is_none() && self.listened {
            return true;
        }
        let read = || self.machine.tables.borrow_mut().held_by(self.tgid);
        are_on(self.listening.get_or_init(read), ports)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::process::{Child, Command};

    use super::*;

    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn facts_are_those_of_the_process() {
        let child = Command::new("sleep")
            .arg("100")
            .env("MODEL", "llama=3")
            .spawn();
        let child = Killed(child.unwrap());
        let machine = Machine::default();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        // The kernel wakes us before it is another program.
        let looked = loop {
            let looked = Looked::new(child.0.id(), &machine);
            if looked.variable("MODEL").is_some() || std::time::Instant::now() > until {
                break looked;
            }
        };
        let fact = |fact| looked.fact(fact);
        assert!(
            fact(Fact::Path)
                .unwrap()
                .ends_with(&format!("/{}", fact(Fact::Executable).unwrap()))
        );
        assert_eq!(fact(Fact::Command).unwrap(), "sleep 100");
        assert_eq!(
            fact(Fact::UserId).unwrap(),
            rustix::process::geteuid().as_raw().to_string()
        );
        assert_eq!(looked.variable("MODEL").unwrap(), "llama=3");
        assert_eq!(looked.variable("MODE"), None);
        assert!(fact(Fact::Cgroup).unwrap().starts_with('/'));
        assert_eq!(fact(Fact::Runtime), None);
        assert!(!looked.listens(None));
        if rustix::process::geteuid().is_root() {
            assert_eq!(fact(Fact::User).unwrap(), "root");
        }
    }

    #[test]
    fn of_a_process_that_has_gone_nothing_is_known() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let machine = Machine::default();
        let looked = Looked::new(child.id(), &machine);
        for fact in [
            Fact::Executable,
            Fact::Command,
            Fact::User,
            Fact::Cgroup,
            Fact::Container,
            Fact::Runtime,
            Fact::ContainerName,
            Fact::Image,
            Fact::Pod,
            Fact::Namespace,
        ] {
            assert_eq!(looked.fact(fact), None, "{fact:?}");
        }
        assert!(!looked.listens(None) && looked.variable("PATH").is_none());
        assert!(looked.label("app").is_none() && looked.workload() == Workload::Known);
    }
}
