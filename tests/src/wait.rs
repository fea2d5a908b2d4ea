//! Waiting: for an event, always with an end. A pause that is itself what a test is about is named as one.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Between two tries, where a try costs little.
const PACE: Duration = Duration::from_millis(5);
/// Servers of the suite listen within a second or two on an idle machine.
const LISTENER_LIMIT: Duration = Duration::from_secs(20);

/// Tries `f` every few milliseconds until it gives a value.
pub fn until<T>(what: &str, limit: Duration, f: impl FnMut() -> Option<T>) -> Result<T> {
    until_every(PACE, what, limit, f)
}

/// Tries `f`, which costs something, at this pace until it gives a value.
pub fn until_every<T>(
    pace: Duration,
    what: &str,
    limit: Duration,
    mut f: impl FnMut() -> Option<T>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = f() {
            return Ok(value);
        }
        if Instant::now() > end {
            bail!("{what}: not within {limit:?}");
        }
        std::thread::sleep(pace);
    }
}

/// Waits until somebody listens on `port`.
pub fn listener(port: u16) -> Result<()> {
    let pace = Duration::from_millis(20);
    until_every(pace, "a listener", LISTENER_LIMIT, || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    })
    .map(drop)
}

/// Number of connections on `port` that whoever listens there has not closed yet.
pub fn connections(port: u16) -> Result<usize> {
    let mut found = 0;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).context(table)?;
        found += text.lines().filter(|row| is_open_at(row, port)).count();
    }
    Ok(found)
}

/// A row of the kernel's table: a connection at `port` that is established, or closed by its peer alone.
fn is_open_at(row: &str, port: u16) -> bool {
    const ESTABLISHED: &str = "01";
    const CLOSE_WAIT: &str = "08";
    let mut fields = row.split_whitespace();
    let local = fields.nth(1).and_then(|local| local.split_once(':'));
    let at = local.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    at == Some(port) && matches!(fields.nth(1), Some(ESTABLISHED | CLOSE_WAIT))
}

/// Waits until whoever listens on `port` has no more than `count` connections.
pub fn closed_to(count: usize, port: u16) -> Result<()> {
    let limit = Duration::from_secs(10);
    until("connections to be closed", limit, || {
        (connections(port).ok()? <= count).then_some(())
    })
}

/// A pause that is what the test is about: nothing is waited for. `what` says what the time is given to.
pub fn pause(_what: &str, time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn connections_are_those_of_the_listener_that_it_has_not_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        assert_eq!(connections(port).expect("a table"), 0);
        super::listener(port).expect("it listens");
        let (probe, _) = listener.accept().expect("a connection");
        drop(probe);
        let client = TcpStream::connect(("127.0.0.1", port)).expect("it connects");
        let (server, _) = listener.accept().expect("a connection");
        assert_eq!(connections(port).expect("a table"), 1);
        closed_to(1, port).expect("one is left");
        // The peer's end alone is not the listener's.
        drop(client);
        assert_eq!(connections(port).expect("a table"), 1);
        drop(server);
        closed_to(0, port).expect("none is left");
    }

    #[test]
    fn what_never_comes_is_an_error() {
        let mut tries = 0;
        let never = until("godot", Duration::from_millis(30), || {
            tries += 1;
            None::<()>
        });
        assert!(never.expect_err("never").to_string().contains("godot"));
        assert!(tries > 1);
    }
}
