//! `tree` and `export`: what reads a spool, without rights. The work is `cirron-look`'s.

use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use cirron_look::export::target::Target;
use cirron_look::export::{Kind, export as write};
use cirron_look::filter::Filter;
use cirron_look::requests::Spools;
use cirron_look::tree::follow::Follow;
use cirron_look::tree::{Drawing, draw};
use cirron_spool::read::Batches;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use super::{Failed, say};

/// Between two looks at a directory that is followed. A batch comes each second.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Draws a spool; with `follow`, and then tells what comes.
pub fn tree(dir: &Path, filter: Filter, drawing: Drawing, follow: bool) -> Result<Exit, Failed> {
    let listed = Batches::list(dir);
    let mut out = BufWriter::new(io::stdout().lock());
    let batches = match listed {
        Ok(batches) => Some(batches),
        Err(e) if follow && e.kind() == io::ErrorKind::NotFound => {
            say(&format!(
                "{} is not there yet; waiting for it",
                dir.display()
            ));
            None
        }
        Err(e) => {
            let path = dir.display();
            let hint = "name its place with --output-dir DIR";
            return Err(anyhow!("there is no spool in {path}: {e}\n  {hint}").into());
        }
    };
    if let Some(batches) = &batches {
        let left = draw(batches, filter.clone(), drawing, &mut out).context("standard output")?;
        out.flush().context("standard output")?;
        left.sentences().iter().for_each(|sentence| say(sentence));
    }
    if follow {
        let follow = Follow::new(filter, drawing, batches.as_ref());
        drop(batches);
        let left = follow.run(dir, &mut out, until_told()?);
        let left = left.context("standard output")?;
        left.sentences().iter().for_each(|sentence| say(sentence));
    }
    Ok(Exit::Ok)
}

/// Waits a moment each time; false once SIGINT, SIGTERM or SIGHUP came.
fn until_told() -> anyhow::Result<impl FnMut() -> bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let guard = runtime.enter();
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut hup = signal(SignalKind::hangup())?;
    drop(guard);
    Ok(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = int.recv() => false,
                _ = term.recv() => false,
                _ = hup.recv() => false,
                () = tokio::time::sleep(LOOK_INTERVAL) => true,
            }
        })
    })
}

/// Writes spools in another format, into a file or to standard output.
pub fn export(kind: Kind, spools: &[PathBuf], to: Option<&Path>) -> Result<Exit, Failed> {
    let spools = Spools::list(spools).map_err(|e| anyhow!("{e}\n  name its place: SPOOL"))?;
    let exported = match to {
        Some(path) => {
            let name = || path.display().to_string();
            let mut target = Target::create(path).with_context(name)?;
            let exported = write(&spools, kind, Box::new(&mut target)).with_context(name)?;
            target.finish().with_context(name)?;
            exported
        }
        None if kind.is_binary() && io::stdout().is_terminal() => {
            return Err(anyhow!(
                "a terminal cannot show this format\n  name a file with -o FILE, or send it into a pipe"
            )
            .into());
        }
        None => {
            let out = Box::new(BufWriter::new(io::stdout()));
            write(&spools, kind, out).context("standard output")?
        }
    };
    for sentence in &exported.sentences {
        say(sentence);
    }
    if let Some(path) = to {
        say(&format!(
            "{} scopes written to {}",
            exported.scopes,
            path.display()
        ));
    }
    Ok(Exit::Ok)
}
