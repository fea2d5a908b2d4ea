//! A platform at its worst: of five uploads it takes three, one stalls for a second and is reset, one gets a 500.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How long an upload stalls before it is reset.
const STALL: Duration = Duration::from_secs(1);

/// Starts it, as long as the process lives; gives its port.
pub(super) fn start() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let turn = Arc::new(AtomicU64::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let turn = Arc::clone(&turn);
            // A client that goes away is none of ours.
            std::thread::spawn(move || _ = serve(&stream, &turn));
        }
    });
    Ok(port)
}

fn serve(stream: &TcpStream, turn: &AtomicU64) -> Result<()> {
    let mut from = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            if line.len() <= 2 {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().context("a length")?;
            }
        }
        from.read_exact(&mut vec![0; length])?;
        let status = match turn.fetch_add(1, Ordering::Relaxed) % 5 {
            3 => {
                std::thread::sleep(STALL);
                return Ok(());
            }
            4 => 500,
            _ => 200,
        };
        let mut to = stream;
        to.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}").as_bytes())?;
    }
}
