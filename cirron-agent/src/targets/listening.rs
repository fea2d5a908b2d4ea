//! Which sockets of a network namespace listen, and whether a process holds one of them.
//!
//! Sits beside [`super::looked`]. The tables are those of the process's own namespace (`/proc/PID/net`): TCP sockets in
//! the state LISTEN, Unix sockets that accept. A table is read once for a scan and each namespace, and holds at most
//! [`MAX_LISTENING`] sockets. Of a process at most [`MAX_DESCRIPTORS`] descriptors are looked at; a server's listening
//! socket is among its first.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::RangeInclusive;
use std::path::Path;

use crate::discovery::asked;

/// Listening sockets of one namespace that are known. A machine has some hundred.
const MAX_LISTENING: usize = 16 * 1024;

/// Descriptors of one process that are looked at: one with more is a server whose connections came behind its socket.
const MAX_DESCRIPTORS: usize = 4096;

/// Bytes of one table: of a million connections, of which some listen.
const MAX_TABLE_BYTES: u64 = 256 * 1024 * 1024;

/// LISTEN (`include/net/tcp_states.h`), as `/proc/net/tcp` has it.
const TCP_LISTEN: &str = "0A";

/// `__SO_ACCEPTCON` (`include/uapi/linux/net.h`): somebody called `listen`.
const ACCEPTS: u64 = 1 << 16;

/// Sockets of one namespace that listen, by inode: with a TCP port, or of Unix.
type Table = HashMap<u64, Option<u16>>;

/// The tables of namespaces that were read for one scan.
#[derive(Debug, Default)]
pub struct Tables(HashMap<u64, Table>);

impl Tables {
    /// Ports of the TCP sockets that a process listens on; `None` stands for a Unix socket. Empty where it listens on none, or
    /// may not be looked at.
    pub fn held_by(&mut self, tgid: u32) -> Vec<Option<u16>> {
        asked();
        let Some(namespace) = link_number(Path::new(&format!("/proc/{tgid}/ns/net")), "net:[")
        else {
            return Vec::new();
        };
        let table = self.0.entry(namespace).or_insert_with(|| read(tgid));
        if table.is_empty() {
            return Vec::new();
        }
        let Ok(all) = std::fs::read_dir(format!("/proc/{tgid}/fd")) else {
            return Vec::new();
        };
        let sockets = all.take(MAX_DESCRIPTORS).filter_map(|entry| {
            let inode = link_number(&entry.ok()?.path(), "socket:[")?;
            table.get(&inode).copied()
        });
        sockets.collect()
    }
}

/// Whether one of these is on one of `ports`, or is there at all.
pub fn are_on(held: &[Option<u16>], ports: Option<&[RangeInclusive<u16>]>) -> bool {
    match ports {
        None => !held.is_empty(),
        Some(ranges) => held
            .iter()
            .flatten()
            .any(|port| ranges.iter().any(|range| range.contains(port))),
    }
}

/// The number in a link like `socket:[123]`.
fn link_number(path: &Path, before: &str) -> Option<u64> {
    let to = std::fs::read_link(path).ok()?;
    let number = to.to_str()?.strip_prefix(before)?.strip_suffix(']')?;
    number.parse().ok()
}

fn read(tgid: u32) -> Table {
    let mut table = Table::new();
    for (name, listener) in [
        ("tcp", tcp as fn(&str) -> Option<(u64, Option<u16>)>),
        ("tcp6", tcp),
        ("unix", unix),
    ] {
        let Ok(file) = File::open(format!("/proc/{tgid}/net/{name}")) else {
            continue;
        };
        let lines = BufReader::new(file.take(MAX_TABLE_BYTES)).lines();
        let room = MAX_LISTENING.saturating_sub(table.len());
        table.extend(
            lines
                .map_while(Result::ok)
                .filter_map(|line| listener(&line))
                .take(room),
        );
    }
    table
}

/// A line of `/proc/net/tcp`: number, local address, remote, state, queues, timer, retransmissions, user, timeout, inode.
fn tcp(line: &str) -> Option<(u64, Option<u16>)> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    if fields.nth(1)? != TCP_LISTEN {
        return None;
    }
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    Some((fields.nth(5)?.parse().ok()?, Some(port)))
}

/// A line of `/proc/net/unix`: number, references, protocol, flags, type, state, inode, path.
fn unix(line: &str) -> Option<(u64, Option<u16>)> {
    let mut fields = line.split_ascii_whitespace();
    let flags = u64::from_str_radix(fields.nth(3)?, 16).ok()?;
    (flags & ACCEPTS != 0).then_some(())?;
    Some((fields.nth(2)?.parse().ok()?, None))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_this_process_listens_on_is_found_and_what_it_connects_to_is_not() {
        let ours = std::process::id();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let six = TcpListener::bind("[::1]:0").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let _unix = UnixListener::bind(dir.path().join("s")).unwrap();
        let client = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let held = Tables::default().held_by(ours);
        for port in [
            tcp.local_addr().unwrap().port(),
            six.local_addr().unwrap().port(),
        ] {
            assert!(held.contains(&Some(port)), "{port} {held:?}");
            assert!(are_on(&held, Some(&[port..=port])));
        }
        assert!(held.contains(&None));
        let own = client.local_addr().unwrap().port();
        assert!(!are_on(&held, Some(&[own..=own])));
    }

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0";
        assert_eq!(tcp(line), Some((4711, Some(8080))));
        assert_eq!(tcp(&line.replace(" 0A ", " 01 ")), None);
        let line = "ffff: 00000002 00000000 00010000 0001 01 815 /run/x";
        assert_eq!(unix(line), Some((815, None)));
        assert_eq!(unix(&line.replace("00010000", "00000000")), None);
        assert_eq!(tcp("  sl  local_address rem_address   st"), None);
        assert_eq!(
            unix("Num       RefCount Protocol Flags    Type St Inode Path"),
            None
        );
    }

    #[test]
    fn a_process_that_holds_none_is_not_said_to() {
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .unwrap();
        assert_eq!(Tables::default().held_by(child.id()), []);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Tables::default().held_by(child.id()), []);
    }
}
