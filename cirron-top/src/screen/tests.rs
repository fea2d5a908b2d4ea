use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::live::{Live, Open};
use crate::testing::{S, served};

fn board() -> Board {
    let mut board = Board::new(60 * S);
    board.begin(1_000 * S);
    for n in 0..30 {
        board.take(served(
            &n.to_string(),
            "POST /v1/chat/completions",
            Some("Qwen/Qwen3-8B"),
            1_001 + n,
        ));
        let mut failed = served("x", "GET /health", None, 1_001 + n);
        failed.status = Some(503);
        board.take(failed);
    }
    let mut call = served("call", "POST /v1/embeddings", None, 1_030);
    call.parent = Some("29".into());
    call.kind = cirron_look::request::Kind::HttpClient;
    board.take(call);
    board
}

fn drawn(app: &mut App, board: &mut Board, size: (u16, u16)) -> Vec<String> {
    let live = Live {
        pid: 7,
        targets: 3,
        line: "61 requests; 3 records dropped".into(),
        duration_s: 600.0,
        ..Live::default()
    };
    let view = board.view(1_040 * S, &[live]);
    app.set(view, vec!["a note".into()]);
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| app.draw(frame, board)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let cells: Vec<&str> = buffer.content.iter().map(|cell| cell.symbol()).collect();
    cells
        .chunks(usize::from(size.0))
        .map(|row| row.concat().trim_end().to_owned())
        .collect()
}

fn press(app: &mut App, board: &Board, code: KeyCode) -> Flow {
    app.handle(&Event::Key(KeyEvent::from(code)), board)
}

#[test]
fn a_terminal_of_80_by_24_shows_what_matters() {
    let lines = drawn(&mut App::new(false), &mut board(), (80, 24));
    assert_eq!(
        lines[0],
        "cirron-agent top  1970-01-01 00:17:20 UTC  last 40 s  3 targets"
    );
    // What was lost stands where there is room for it.
    assert_eq!(lines[3], "a note; 3 records dropped; 61 requests");
    assert!(
        lines[2].contains("  tpot 4.0ms/4.0ms/4.0ms  p50"),
        "{}",
        lines[2]
    );
    assert_eq!(
        lines[4],
        "ENDPOINT  MODEL                           REQ/S OPEN  TTFT95   LAT95  OUT/S  ERR"
    );
    assert_eq!(
        lines[5],
        "GET /health                                0.75    0  20.0ms   100ms   37.5   30"
    );
    assert_eq!(
        lines[6],
        "POST /v1/chat/completions Qwen/Qwen3-8B    0.75    0  20.0ms   100ms   37.5    0"
    );
    assert_eq!(
        lines[7],
        "> POST /v1/embeddings                      0.03    0  20.0ms   100ms   1.25    0"
    );
    assert!(lines[23].starts_with("q quit"), "{:?}", lines[23]);
}

#[test]
fn a_wide_terminal_has_all_columns_and_a_tiny_one_does_not_fail() {
    let lines = drawn(&mut App::new(true), &mut board(), (160, 24));
    for title in [
        "TTFT50", "TTFT99", "LAT50", "LAT99", "TPOT50", "IN/S", "ABRT", "PART",
    ] {
        assert!(lines[4].contains(title), "{title} {}", lines[4]);
    }
    for size in [(1, 1), (10, 4), (30, 5), (300, 2)] {
        let mut app = App::new(false);
        let mut board = board();
        for code in [KeyCode::Enter, KeyCode::Enter, KeyCode::Char('?')] {
            drawn(&mut app, &mut board, size);
            press(&mut app, &board, code);
        }
        drawn(&mut app, &mut board, size);
    }
}

#[test]
fn one_looks_into_a_line_and_into_a_request_and_comes_back() {
    let (mut app, mut board) = (App::new(false), board());
    drawn(&mut app, &mut board, (80, 24));
    press(&mut app, &board, KeyCode::Down);
    press(&mut app, &board, KeyCode::Enter);
    let lines = drawn(&mut app, &mut board, (80, 24));
    assert_eq!(lines[4], "POST /v1/chat/completions");
    assert_eq!(
        lines[6],
        "00:17:09    200  20.0ms   100ms   4.0ms    100     50"
    );
    press(&mut app, &board, KeyCode::Enter);
    let lines = drawn(&mut app, &mut board, (80, 24));
    assert!(lines[5].contains("model Qwen/Qwen3-8B"), "{lines:?}");
    assert!(
        lines[8].starts_with("POST /v1/chat/completions       100ms ========|"),
        "{lines:?}"
    );
    assert!(
        lines[9].starts_with("  POST /v1/embeddings           100ms ========|"),
        "{lines:?}"
    );
    press(&mut app, &board, KeyCode::Esc);
    press(&mut app, &board, KeyCode::Esc);
    let lines = drawn(&mut app, &mut board, (80, 24));
    assert!(lines[4].starts_with("ENDPOINT"));
}

#[test]
fn a_filter_is_typed_and_dropped() {
    let (mut app, mut board) = (App::new(false), board());
    for c in "/qWEn".chars() {
        assert_eq!(press(&mut app, &board, KeyCode::Char(c)), Flow::Continue);
    }
    let lines = drawn(&mut app, &mut board, (80, 24));
    assert!(
        lines[5].starts_with("POST /v1/chat") && lines[6].is_empty(),
        "{lines:?}"
    );
    assert!(lines[23].starts_with("filter: qWEn_"));
    press(&mut app, &board, KeyCode::Esc);
    let lines = drawn(&mut app, &mut board, (80, 24));
    assert!(lines[7].starts_with("> POST"));
    // What would leave elsewhere is text in a filter.
    press(&mut app, &board, KeyCode::Char('/'));
    assert_eq!(press(&mut app, &board, KeyCode::Char('q')), Flow::Continue);
    press(&mut app, &board, KeyCode::Enter);
    assert_eq!(press(&mut app, &board, KeyCode::Char('q')), Flow::Quit);
}

#[test]
fn a_paused_screen_stays_and_says_so() {
    let (mut app, mut board) = (App::new(false), board());
    drawn(&mut app, &mut board, (80, 24));
    press(&mut app, &board, KeyCode::Char(' '));
    board.take(served("new", "GET /new", None, 1_039));
    let lines = drawn(&mut app, &mut board, (80, 24));
    assert!(lines[0].ends_with("PAUSED"));
    assert!(!lines.iter().any(|line| line.contains("/new")));
    press(&mut app, &board, KeyCode::Char(' '));
    let lines = drawn(&mut app, &mut board, (80, 24));
    assert!(lines.iter().any(|line| line.contains("/new")));
}

#[test]
fn what_goes_on_of_a_line_stands_above_its_last_requests() {
    let (mut app, mut board) = (App::new(false), board());
    let open = |pid, age_s: u64| Open {
        name: "request".into(),
        endpoint: Some("/v1/chat/completions".into()),
        model: Some("Qwen/Qwen3-8B".into()),
        pid,
        age_ns: age_s * S,
        first_token_ns: Some(S / 8),
        tokens: Some(45),
    };
    let live = |open: Vec<Open>| Live {
        pid: 7,
        open,
        ..Live::default()
    };
    let agents = [
        live(vec![open(1, 9), open(2, 8), open(3, 7), open(4, 2)]),
        live(vec![open(5, 30), open(6, 1), open(7, 1)]),
    ];
    let view = board.view(1_040 * S, &agents);
    app.set(view, Vec::new());
    press(&mut app, &board, KeyCode::Down);
    press(&mut app, &board, KeyCode::Enter);
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| app.draw(frame, &board)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let cells: Vec<&str> = buffer.content.iter().map(|cell| cell.symbol()).collect();
    let lines: Vec<String> = cells.chunks(80).map(|row| row.concat()).collect();
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    assert_eq!(
        lines[6],
        "00:16:50   open   125ms  30.00s       -      -     45 goes on, pid 5"
    );
    assert_eq!(
        lines[11],
        "00:17:19   open   125ms   1.00s       -      -     45 goes on, pid 6, and 1 more"
    );
    // The marked one is the newest that ended.
    assert_eq!(
        lines[12],
        "00:17:09    200  20.0ms   100ms   4.0ms    100     50"
    );
    press(&mut app, &board, KeyCode::Enter);
    terminal.draw(|frame| app.draw(frame, &board)).unwrap();
    let text = terminal.backend().to_string();
    assert!(text.contains("model Qwen/Qwen3-8B"), "{text}");
}
