//! Who listens at the socket. One that does not read is held for a while, and holds nobody else.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;

/// Clients at once: people and their scripts.
const MAX_CLIENTS: usize = 8;

/// Lines that a client may leave unread, one a second. Past it, it is let go.
const MAX_MISSED: u32 = 30;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Clients(Vec<Client>);

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    /// What is left of a line that was begun.
    rest: Vec<u8>,
    missed: u32,
}

impl Clients {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more, where it may ask and there is room.
    pub(super) fn add(&mut self, stream: UnixStream) -> bool {
        if self.0.len() >= MAX_CLIENTS || !may_ask(&stream) || stream.set_nonblocking(true).is_err()
        {
            return false;
        }
        self.0.push(Client {
            stream,
            rest: Vec::new(),
            missed: 0,
        });
        true
    }

    /// Tells all of them. Whoever has not read the last line misses this one.
    pub(super) fn tell(&mut self, line: &[u8]) {
        self.0.retain_mut(|client| client.tell(line));
    }
}

impl Client {
    /// False: it is gone, or has not read for too long.
    fn tell(&mut self, line: &[u8]) -> bool {
        if self.rest.is_empty() {
            self.rest.extend_from_slice(line);
            self.missed = 0;
        } else {
            self.missed += 1;
        }
        while !self.rest.is_empty() {
            match self.stream.write(&self.rest) {
                Ok(0) => return false,
                Ok(written) => drop(self.rest.drain(..written)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return self.missed <= MAX_MISSED;
                }
                Err(_) => return false,
            }
        }
        true
    }
}

/// Root and our own user may.
fn may_ask(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream)
        .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::io::Read as _;

    use super::*;

    #[test]
    fn one_that_does_not_read_is_let_go_and_the_others_get_whole_lines() {
        let mut clients = Clients::default();
        let ((slow, held), (fast, mut reader)) =
            (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        assert!(clients.add(slow) && clients.add(fast));
        let line = [&vec![b'x'; 100_000][..], b"\n"].concat();
        let mut got = Vec::new();
        reader.set_nonblocking(true).unwrap();
        for n in 0..MAX_MISSED + 10 {
            clients.tell(&line);
            let _ = reader.read_to_end(&mut got);
            let want = if n > MAX_MISSED + 5 {
                1
            } else {
                clients.0.len()
            };
            assert_eq!(clients.0.len(), want, "{n}");
        }
        assert_eq!(got.len() % line.len(), 0);
        assert!(got.len() > 30 * line.len());
        drop(held);
    }

    #[test]
    fn clients_are_bounded() {
        let mut clients = Clients::default();
        let pairs: Vec<_> = (0..MAX_CLIENTS + 1)
            .map(|_| UnixStream::pair().unwrap())
            .collect();
        let added: Vec<bool> = pairs.into_iter().map(|(one, _)| clients.add(one)).collect();
        assert_eq!(added.iter().filter(|added| **added).count(), MAX_CLIENTS);
        clients.tell(b"x\n");
        assert!(clients.is_empty());
    }
}
