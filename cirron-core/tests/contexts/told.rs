//! What the programs of the simulation tell by probes: requests, scopes and marks of none, in the contexts of their tasks.

use cirron_common::hit::role;
use cirron_core::record::{Body, Hit, HitParts, Spec, Text};

use crate::server::{Kind, Server, Work};
use crate::world::{By, World};

/// The file that has the probes.
const FILE: u64 = 5;

impl World {
    /// Numbers of the probes are their roles.
    pub(crate) fn listen(&mut self) {
        for told in role::SCOPE_BEGIN..=role::DROPPED {
            let mut kept = Vec::new();
            let spec = Spec::new((told.into(), FILE, told), b"", &[], &mut kept);
            self.tell_surely(Body::Spec(spec));
        }
    }

    fn hit(&mut self, by: By, probe: u8, values: &[u64], text: &str) {
        let values: Vec<_> = values.iter().map(|value| Some(*value)).collect();
        let text = Text {
            len: u32::try_from(text.len()).unwrap(),
            bytes: text.as_bytes(),
            fault: false,
        };
        let parts = HitParts {
            probe: probe.into(),
            values: &values,
            texts: &[text],
            ..HitParts::default()
        };
        let payload = parts.payload();
        self.tell(by, Body::Hit(Hit::view(&payload).unwrap()));
    }
}

impl Server {
    pub(crate) fn tells(mut self) -> Server {
        self.world.listen();
        self.tells = true;
        self
    }

    fn begins(&mut self, by: By, probe: u8, parent: u64, text: &str) -> u64 {
        self.told += 1;
        let id = self.told;
        let values = [id, parent, 1, text.len() as u64, 0, 0];
        self.world
            .enter(by, |world| world.hit(by, probe, &values, text));
        id
    }

    fn ends(&mut self, by: By, id: u64) {
        self.world
            .enter(by, |world| world.hit(by, role::SCOPE_END, &[id, 0], ""));
    }

    /// What a request tells before this step of it.
    pub(crate) fn tell(&mut self, w: &mut Work) {
        if !self.tells {
            return;
        }
        let by = self.on(w.task);
        let name = format!("s/{}", w.number);
        match w.step {
            1 => {
                if self.chance(40) {
                    let request = self.begins(by, role::REQUEST_OPEN, 0, "");
                    w.told.push(request);
                }
                if self.chance(80) {
                    let parent = w.told.last().copied().unwrap_or(0);
                    let scope = self.begins(by, role::SCOPE_OPEN, parent, &name);
                    w.told.push(scope);
                }
            }
            2 | 3 if self.chance(30) && w.kind != Kind::HangUp => {
                let by = self.on(w.kids.first().copied().unwrap_or(w.task));
                let parent = w.told.last().copied().unwrap_or(0);
                let scope = self.begins(by, role::SCOPE_OPEN, parent, &name);
                self.ends(by, scope);
            }
            3 if w.kind == Kind::HangUp => self.end_told(w, by),
            4 => {
                let values = [0, 1, 1, 1, w.number, 0, 0, 0];
                self.world
                    .enter(by, |world| world.hit(by, role::MARK, &values, "m"));
                self.end_told(w, by);
            }
            8 if self.chance(30) => {
                let scope = self.begins(by, role::SCOPE_OPEN, 0, &name);
                self.ends(by, scope);
            }
            _ => {}
        }
    }

    /// The innermost first.
    fn end_told(&mut self, w: &mut Work, by: By) {
        while let Some(id) = w.told.pop() {
            self.ends(by, id);
        }
    }
}
