#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use std::io::Read;
use std::os::fd::OwnedFd;

const LIMIT: Duration = Duration::from_millis(50);

fn into_pipe(max_bytes: usize) -> (io::PipeReader, Lossy) {
    let (reader, writer) = io::pipe().unwrap();
    let out = Box::new(Waiting(File::from(OwnedFd::from(writer))));
    (reader, Lossy::start("t", out, max_bytes, || {}).unwrap())
}

fn line() -> Vec<u8> {
    let mut line = vec![b'x'; 1023];
    line.push(b'\n');
    line
}

#[test]
fn what_is_read_is_all_there_in_order() {
    let (mut reader, lossy) = into_pipe(1 << 20);
    for i in 0..100 {
        assert!(lossy.put(format!("{i}\n").into_bytes(), 1));
    }
    let stats = lossy.finish(Duration::from_secs(5));
    assert_eq!((stats.lines_written, stats.lines_dropped), (100, 0));
    drop(lossy);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let want: String = (0..100).map(|i| format!("{i}\n")).collect();
    assert_eq!(text, want);
}

#[test]
fn a_reader_that_stands_still_costs_its_lines_and_no_time() {
    // A pipe holds 64 KiB, the queue as much again.
    let (_reader, lossy) = into_pipe(64 * 1024);
    let began = Instant::now();
    let taken = (0..1000).filter(|_| lossy.put(line(), 1)).count() as u64;
    assert!(taken < 200, "{taken}");
    assert!(lossy.put_important(line(), 1, 2048));
    let stats = lossy.finish(LIMIT);
    assert!(began.elapsed() < LIMIT * 20, "{:?}", began.elapsed());
    assert_eq!(stats.lines_written + stats.lines_dropped, 1001);
    assert!(stats.lines_dropped > 800);
    assert!(!lossy.put(line(), 1), "after the end");
    assert_eq!(lossy.stats().lines_dropped, stats.lines_dropped + 1);
}

#[test]
fn a_reader_that_went_away_closes_it_and_everything_else_is_counted() {
    let (reader, lossy) = into_pipe(1 << 20);
    drop(reader);
    for _ in 0..10 {
        lossy.put(line(), 1);
    }
    let stats = lossy.finish(Duration::from_secs(5));
    assert!(lossy.is_closed());
    assert_eq!((stats.lines_written, stats.lines_dropped), (0, 10));
    assert_eq!(lossy.take_error(), None);
}

#[test]
fn a_full_disk_costs_what_did_not_fit_and_the_rest_is_tried() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let lossy = Lossy::start("t", Box::new(full), 1 << 20, || {}).unwrap();
    lossy.put(line(), 3);
    lossy.put(line(), 4);
    let stats = lossy.finish(Duration::from_secs(5));
    assert_eq!((stats.lines_written, stats.lines_dropped), (0, 7));
    assert!(!lossy.is_closed());
    assert!(lossy.take_error().is_some_and(|e| e.contains("No space")));
}

#[test]
fn a_pipe_that_was_made_non_blocking_is_waited_for() {
    let (mut reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let out = Box::new(Waiting(File::from(OwnedFd::from(writer))));
    let lossy = Lossy::start("t", out, 1 << 20, || {}).unwrap();
    for _ in 0..200 {
        assert!(lossy.put(line(), 1));
    }
    std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
    });
    let stats = lossy.finish(Duration::from_secs(10));
    assert_eq!((stats.lines_written, stats.lines_dropped), (200, 0));
}
