//! Ends of connections that no record tells, or that a record tells too early: sockets that somebody else holds,
//! those that exec closed, and what is not there any more. Which are asked for, and when: [`crate::driver::ends`].

use cirron_common::record::close;
use cirron_core::engine::Engine;
use cirron_core::time::MonoNs;

use super::super::ends::{Key, Watched, untold_end};
use super::super::own::end_record;
use super::super::source::Control;
use super::Core;
use crate::clock;
use crate::kernel::SocketState;
use crate::unseal::socket_of;

impl Core {
    /// A process has ended: its sockets have not that somebody else holds. Who that is, is known when the
    /// process has let go of its own.
    pub(super) fn keep_what_is_shared(&mut self, tgid: u32, ts: MonoNs) {
        let sockets: Vec<Key> = self.engine.sockets_of(tgid).collect();
        if !sockets.is_empty() {
            self.ends.note_exit(tgid, ts, sockets);
            self.census.dying(tgid);
        }
        self.ends.hurry(clock::now());
    }

    /// It has.
    pub(super) fn hold_what_is_shared(&mut self, tgid: u32) {
        for (key, ts) in self.ends.let_go(tgid) {
            if let SocketState::Held(_) = self.control.socket(key.0, key.1) {
                self.feed(&end_record(key, close::HELD, ts));
                self.ends.hold(key, ts);
            }
        }
    }

    /// Exec closes descriptors without a call.
    pub(super) fn end_what_exec_closed(&mut self, tgid: u32, ts: MonoNs) {
        let mut closed: Vec<Key> = self.engine.sockets_of(tgid).collect();
        closed.retain(|key| self.control.socket(key.0, key.1) == SocketState::Released);
        for key in closed {
            self.unseal.ended(key, ts);
            self.feed(&end_record(key, close::FD_CLOSED, ts));
        }
        self.ends.hurry(clock::now());
    }

    /// Asks the kernel side for what is due.
    pub(super) fn look_for_ends(&mut self) {
        let all = || watched(&self.engine);
        let ask = |watched| ask(&*self.control, watched);
        self.ends.poll(clock::now(), all, ask);
    }

    /// What is not there any more at the end has ended before.
    pub(super) fn end_what_was_lost(&mut self, now: MonoNs) {
        let ends = watched(&self.engine).filter_map(|watched| {
            let why = untold_end(ask(&*self.control, watched))?;
            Some((watched.key(), why))
        });
        let mut ends: Vec<(Key, u64)> = ends.collect();
        ends.sort_unstable();
        for (key, why) in ends {
            self.feed(&end_record(key, why, now));
        }
    }
}

/// Everything whose end is not known.
fn watched(engine: &Engine) -> impl Iterator<Item = Watched> {
    let objects = engine.open_objects();
    let objects = objects.map(|(key, tgid)| Watched::Object(key, tgid));
    engine.open_sockets().map(Watched::Socket).chain(objects)
}

fn ask(control: &dyn Control, watched: Watched) -> SocketState {
    match watched {
        Watched::Socket((inode, epoch)) => control.socket(inode, epoch),
        Watched::Object((address, epoch), tgid) => match socket_of(address) {
            Some(inode) => control.socket(inode, epoch),
            None => control.object(address, epoch, tgid),
        },
    }
}
