//! A client made of a bare socket: it can stop in the middle, and counts what it got.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::CANARY;

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// One request on its own connection, and what has come back so far.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    /// Bytes received.
    pub got: Vec<u8>,
    scanned: usize,
    counted: usize,
}

impl Raw {
    /// Connects and sends `POST path` with a JSON body; the connection is to close after it.
    pub fn post(port: u16, path: &str, body: &serde_json::Value) -> Result<Raw> {
        let body = body.to_string();
        let head = format!(
            "POST {path}?q={CANARY} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nX-Ask: {CANARY}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Raw::send(port, head.as_bytes())
    }

    /// Connects and sends `bytes` in one write.
    pub fn send(port: u16, bytes: &[u8]) -> Result<Raw> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connect")?;
        stream.set_nodelay(true)?;
        stream.write_all(bytes)?;
        Ok(Raw {
            stream,
            got: Vec::new(),
            scanned: 0,
            counted: 0,
        })
    }

    /// Content tokens received: canaries behind the response's head.
    pub fn tokens(&mut self) -> usize {
        if self.scanned == 0 {
            match self.got.windows(4).position(|w| w == b"\r\n\r\n") {
                Some(end) => self.scanned = end + 4,
                None => return 0,
            }
        }
        let fresh = self.got.get(self.scanned..).unwrap_or_default();
        let found = fresh
            .windows(CANARY.len())
            .filter(|w| *w == CANARY.as_bytes())
            .count();
        // The next scan begins where a canary may have begun and not ended.
        self.scanned = self
            .scanned
            .max((self.got.len() + 1).saturating_sub(CANARY.len()));
        self.counted += found;
        self.counted
    }

    /// Reads until `tokens` content tokens are there, or the end. True where they are there.
    pub fn read_tokens(&mut self, tokens: usize, limit: Duration) -> Result<bool> {
        let end = Instant::now() + limit;
        self.stream
            .set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut buffer = [0; 65536];
        while self.tokens() < tokens {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(n) => self
                    .got
                    .extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Ok(false),
                Err(e)
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(e) => return Err(e.into()),
            }
            if Instant::now() > end {
                bail!(
                    "only {} of {tokens} tokens came within {limit:?}",
                    self.tokens()
                );
            }
        }
        Ok(true)
    }

    /// Reads to the end of the connection and gives the number of tokens.
    pub fn read_to_end(&mut self, limit: Duration) -> Result<usize> {
        if self.read_tokens(usize::MAX, limit)? {
            bail!("endless");
        }
        Ok(self.tokens())
    }

    /// Sends more on the same connection.
    pub fn send_more(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Reads until `text` has come `times` times since the beginning.
    pub fn read_until(&mut self, text: &[u8], times: usize, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        self.stream
            .set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut buffer = [0; 4096];
        while self.got.windows(text.len()).filter(|w| *w == text).count() < times {
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("the connection ended"),
                Ok(n) => self
                    .got
                    .extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(e)
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(e) => return Err(e.into()),
            }
            ensure!(Instant::now() < end, "not within {limit:?}");
        }
        Ok(())
    }

    /// Says that it sends no more, and reads on.
    pub fn shut_write(&mut self) -> Result<()> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    /// Goes away: no more reading, no more writing.
    pub fn hang_up(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
