//! `--summary-json`: looked at before the capture, written after it, by a thread that keeps the
//! rights for it where the others have none any more.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::driver::summary::Summary;
use crate::files::Users;
use crate::files::place::Place;
use crate::output::lossy::{Lossy, Waiting};
use crate::privileges::{self, Rights};

/// How long the end waits for the reader of a pipe to take some kilobytes.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Where the summary will go.
#[derive(Debug)]
pub struct SummaryFile {
    tell: Sender<Vec<u8>>,
    done: Receiver<io::Result<()>>,
}

impl SummaryFile {
    /// Refuses what could not be written to at the end; makes nothing.
    pub fn prepare(path: &Path, users: Users, rights: Rights) -> io::Result<SummaryFile> {
        let place = Place::look(path, users)?;
        let (tell, told) = channel::<Vec<u8>>();
        let (say, done) = channel();
        std::thread::Builder::new()
            .name("cirron-summary".into())
            .spawn(move || {
                rights.keep_for_files();
                if let Ok(text) = told.recv() {
                    // Nobody waits for it after a forced end.
                    let _ = say.send(write(&place, text));
                }
            })?;
        Ok(SummaryFile { tell, done })
    }

    /// Writes it.
    pub fn write(self, summary: &Summary) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(summary)?;
        text.push(b'\n');
        let ended = |()| io::Error::other("the thread that writes it has ended; report it");
        self.tell.send(text).map_err(|_| ended(()))?;
        self.done.recv().map_err(|_| ended(()))?
    }
}

fn write(place: &Place, text: Vec<u8>) -> io::Result<()> {
    let mut opened = place.open()?;
    if !opened.is_stream {
        opened.file.write_all(&text)?;
        return opened.settle();
    }
    let out = Box::new(Waiting(opened.file.try_clone()?));
    let max_bytes = text.len();
    let lossy = Lossy::start("cirron-summary", out, max_bytes, privileges::keep_none)?;
    lossy.put(text, 1);
    match lossy.finish(END_LIMIT).lines_dropped {
        0 => Ok(()),
        _ => Err(io::Error::other(
            lossy
                .take_error()
                .unwrap_or_else(|| "nobody reads it".to_owned()),
        )),
    }
}
