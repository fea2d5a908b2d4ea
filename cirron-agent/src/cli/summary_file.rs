//! `--summary-json`: looked at before the capture, written whenever a summary is asked for and after the capture,
//! by a thread that keeps the rights for it where the others have none any more. A file is replaced whole; a pipe
//! or device gets the last summary only.

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
#[derive(Clone, Debug)]
pub struct SummaryFile {
    tell: Sender<Task>,
}

struct Task {
    text: Vec<u8>,
    is_last: bool,
    done: Sender<io::Result<()>>,
}

impl SummaryFile {
    /// Refuses what could not be written to at the end; makes nothing.
    pub fn prepare(path: &Path, users: Users, rights: Rights) -> io::Result<SummaryFile> {
        let place = Place::look(path, users)?;
        let (tell, told) = channel();
        std::thread::Builder::new()
            .name("cirron-summary".into())
            .spawn(move || {
                rights.keep_for_files();
                serve(&place, &told);
            })?;
        Ok(SummaryFile { tell })
    }

    /// Writes the last one, behind which none is written.
    pub fn write(&self, summary: &Summary) -> io::Result<()> {
        self.put(summary, true)
    }

    /// Writes one on the way.
    pub fn renew(&self, summary: &Summary) -> io::Result<()> {
        self.put(summary, false)
    }

    fn put(&self, summary: &Summary, is_last: bool) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(summary)?;
        text.push(b'\n');
        let ended = |()| io::Error::other("the thread that writes it has ended; report it");
        let (done, is_done) = channel();
        let task = Task {
            text,
            is_last,
            done,
        };
        self.tell.send(task).map_err(|_| ended(()))?;
        is_done.recv().map_err(|_| ended(()))?
    }
}

/// Until the last is written, or nobody has one any more.
fn serve(place: &Place, tasks: &Receiver<Task>) {
    for task in tasks {
        let put = if task.is_last || place.is_replaced() {
            write(place, task.text)
        } else {
            Ok(())
        };
        // Nobody waits for it after a forced end.
        let _ = task.done.send(put);
        if task.is_last {
            return;
        }
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
