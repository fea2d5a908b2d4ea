//! A kernel side and a process table of the tests' own, and a recording that can be read while it is written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cirron_common::Counter;
use cirron_core::engine::ProcessFacts;

use crate::discovery::{Identity, Processes};
use crate::driver::counts::Counts;
use crate::driver::source::{Control, Counters, RecordSource};
use crate::kernel::{Policy, SocketState};
use crate::record::Input;
use crate::record::reader::RecordingReader;
use crate::testing::Kept;

/// What the fakes share with the test.
#[derive(Default)]
pub(in crate::driver) struct State {
    pub(in crate::driver) ring: VecDeque<Vec<u8>>,
    pub(in crate::driver) targets: BTreeMap<u32, Policy>,
    /// Those that cannot be targets.
    pub(in crate::driver) refused: BTreeSet<u32>,
    pub(in crate::driver) processes: BTreeMap<u32, ProcessFacts>,
    pub(in crate::driver) children: BTreeMap<u32, Vec<u32>>,
    /// Appears among the children of its key only once that is a target.
    pub(in crate::driver) late_children: BTreeMap<u32, u32>,
    /// Ancestors of the agent.
    pub(in crate::driver) waiting: BTreeSet<u32>,
    pub(in crate::driver) sockets: BTreeMap<u64, SocketState>,
    /// Processes whose facts cannot be read for now: whoever asks waits.
    pub(in crate::driver) stuck: BTreeSet<u32>,
    /// Time that reading the facts of one takes.
    pub(in crate::driver) facts_take: Duration,
    pub(in crate::driver) facts_read: Vec<u32>,
    pub(in crate::driver) counts: Arc<Counts>,
    pub(in crate::driver) fail_reads: bool,
    pub(in crate::driver) detached: bool,
    /// Records put when the targets are let go: what was still on its way.
    pub(in crate::driver) parting: Vec<Vec<u8>>,
}

#[derive(Clone, Default)]
pub(in crate::driver) struct World(Arc<Mutex<State>>);

impl World {
    pub(in crate::driver) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }
    pub(in crate::driver) fn process(&self, tgid: u32) -> ProcessFacts {
        let facts = ProcessFacts {
            tgid,
            explicit: false,
            env: [("RANK".to_owned(), tgid.to_string())].into(),
            exe: Some("server".into()),
            container: None,
            workload: BTreeMap::new(),
            target: None,
            blind: Vec::new(),
        };
        self.with(|s| s.processes.insert(tgid, facts.clone()));
        facts
    }
    pub(in crate::driver) fn put(&self, record: Vec<u8>) {
        self.with(|s| s.ring.push_back(record));
    }
}

impl Control for World {
    fn set_target(&mut self, tgid: u32, policy: Policy) -> anyhow::Result<()> {
        self.with(|s| {
            anyhow::ensure!(!s.refused.contains(&tgid), "no room");
            s.targets.insert(tgid, policy);
            if let Some(child) = s.late_children.remove(&tgid) {
                s.children.entry(tgid).or_default().push(child);
            }
            Ok(())
        })
    }
    fn policy(&self, tgid: u32) -> Option<Policy> {
        self.with(|s| s.targets.get(&tgid).copied())
    }
    fn remove_target(&mut self, tgid: u32) -> anyhow::Result<()> {
        self.with(|s| {
            s.targets.remove(&tgid);
            let parting = std::mem::take(&mut s.parting);
            s.ring.extend(parting);
        });
        Ok(())
    }
    fn mute(&mut self, _conn: u64, _epoch: u64) -> anyhow::Result<()> {
        Ok(())
    }
    fn socket(&self, conn: u64, _epoch: u64) -> SocketState {
        self.with(|s| {
            s.sockets
                .get(&conn)
                .copied()
                .unwrap_or(SocketState::Unknown)
        })
    }
    fn object(&self, address: u64, epoch: u64, _tgid: u32) -> SocketState {
        self.socket(address, epoch)
    }
    fn counters(&self) -> anyhow::Result<Counters> {
        assert!(
            self.with(|s| s.ring.is_empty()),
            "counted before the ring was empty"
        );
        let mut counters = [0; cirron_common::counters::COUNTERS as usize];
        counters[Counter::RingFull as usize] = 3;
        Ok(counters)
    }
}

/// Dropped with the core: detaches.
pub(in crate::driver) struct Attached(pub(super) World);

impl Control for Attached {
    fn set_target(&mut self, tgid: u32, policy: Policy) -> anyhow::Result<()> {
        self.0.set_target(tgid, policy)
    }
    fn policy(&self, tgid: u32) -> Option<Policy> {
        self.0.policy(tgid)
    }
    fn remove_target(&mut self, tgid: u32) -> anyhow::Result<()> {
        self.0.remove_target(tgid)
    }
    fn mute(&mut self, conn: u64, epoch: u64) -> anyhow::Result<()> {
        self.0.mute(conn, epoch)
    }
    fn socket(&self, conn: u64, epoch: u64) -> SocketState {
        self.0.socket(conn, epoch)
    }
    fn object(&self, address: u64, epoch: u64, tgid: u32) -> SocketState {
        self.0.object(address, epoch, tgid)
    }
    fn counters(&self) -> anyhow::Result<Counters> {
        self.0.counters()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.with(|s| s.detached = true);
    }
}

impl RecordSource for World {
    fn read(
        &mut self,
        timeout: Duration,
        batch: &mut Vec<u8>,
        max_bytes: usize,
    ) -> anyhow::Result<usize> {
        if self.with(|s| s.ring.is_empty()) {
            std::thread::sleep(timeout.min(Duration::from_millis(2)));
        }
        self.with(|s| {
            anyhow::ensure!(!s.fail_reads, "broken ring");
            let mut count = 0;
            while batch.len() < max_bytes
                && let Some(record) = s.ring.pop_front()
            {
                batch.extend((record.len() as u32).to_ne_bytes());
                batch.extend(&record);
                batch.resize(batch.len().next_multiple_of(8), 0);
                count += 1;
            }
            Ok(count)
        })
    }
}

impl Processes for World {
    fn identify(&self, tgid: u32) -> Option<Identity> {
        crate::discovery::asked();
        self.with(|s| {
            s.processes.contains_key(&tgid).then_some(Identity {
                tgid,
                start_ticks: 1,
            })
        })
    }
    fn is_alive(&self, identity: &Identity) -> bool {
        crate::discovery::asked();
        self.with(|s| s.processes.contains_key(&identity.tgid))
    }
    fn facts(&self, tgid: u32) -> Option<ProcessFacts> {
        crate::discovery::asked();
        while self.with(|s| s.stuck.contains(&tgid)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(self.with(|s| s.facts_take));
        self.with(|s| {
            s.facts_read.push(tgid);
            s.processes.get(&tgid).cloned()
        })
    }
    fn descendants(&self, roots: &[u32]) -> Vec<(u32, u32)> {
        crate::discovery::asked();
        let mut found = Vec::new();
        let mut next: Vec<(u32, u32)> = roots.iter().map(|root| (*root, *root)).collect();
        while let Some((parent, root)) = next.pop() {
            let children = self.with(|s| s.children.get(&parent).cloned().unwrap_or_default());
            let children = children.into_iter().map(|child| (child, root));
            found.extend(children.clone());
            next.extend(children);
        }
        found
    }
    fn waits_for_us(&self, tgid: u32) -> bool {
        crate::discovery::asked();
        self.with(|s| s.waiting.contains(&tgid))
    }
}

/// A recording that can be read while it is written.
#[derive(Clone, Default)]
pub(in crate::driver) struct Tape(pub(super) Kept);

impl Tape {
    pub(in crate::driver) fn inputs(&self) -> Vec<Input> {
        let bytes = self.0.bytes();
        let mut reader = RecordingReader::new(&bytes[..]).unwrap();
        std::iter::from_fn(|| reader.next_input().unwrap()).collect()
    }
}
