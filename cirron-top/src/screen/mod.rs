//! The screen: what was typed changes what is shown.
//!
//! ```text
//!            enter             enter
//!   List ------------> Last ------------> Whole
//!        <------------      <------------
//!            esc               esc          `?` help and `/` filter lie over the list
//! ```
//! Drawing needs nothing but the view and the board; a paused screen keeps its view while the board goes on.

mod last;
mod list;
mod whole;

use cirron_look::request::Request;
use ratatui::Frame;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line as TextLine;
use ratatui::widgets::Paragraph;

use crate::board::{Board, LineKey};
use crate::text;
use crate::view::{Choice, View};

/// Characters of a filter.
const MAX_FILTER: usize = 100;

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// The user wants to leave.
    Quit,
}

/// What is looked at.
#[derive(Debug)]
enum Page {
    /// Endpoints and models.
    List,
    /// The last requests of one.
    Last {
        key: LineKey,
        requests: Vec<Request>,
        at: usize,
    },
    /// One request.
    Whole {
        key: LineKey,
        request: Box<Request>,
        at: usize,
    },
    /// The keys.
    Help,
}

/// What is shown.
#[derive(Debug)]
pub struct App {
    view: View,
    notes: Vec<String>,
    choice: Choice,
    page: Page,
    /// The line that is marked, by what it is of: lines move.
    marked: Option<LineKey>,
    is_paused: bool,
    types_filter: bool,
    color: bool,
}

impl App {
    /// Nothing yet.
    pub fn new(color: bool) -> App {
        App {
            view: View::default(),
            notes: Vec::new(),
            choice: Choice::default(),
            page: Page::List,
            marked: None,
            is_paused: false,
            types_filter: false,
            color,
        }
    }

    /// How things stand now; a paused screen keeps what it has.
    pub fn set(&mut self, view: View, notes: Vec<String>) {
        if !self.is_paused {
            (self.view, self.notes) = (view, notes);
        }
    }

    /// What was typed.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "keys that mean nothing here are many"
    )]
    pub fn handle(&mut self, event: &Event, board: &Board) -> Flow {
        let Event::Key(key) = event else {
            return Flow::Continue;
        };
        if key.kind == KeyEventKind::Release {
            return Flow::Continue;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Flow::Quit,
                _ => Flow::Continue,
            };
        }
        if self.types_filter {
            self.type_filter(*key);
            return Flow::Continue;
        }
        match key.code {
            KeyCode::Char('q') => return Flow::Quit,
            KeyCode::Char('?' | 'h') => {
                self.page = match self.page {
                    Page::Help => Page::List,
                    Page::List | Page::Last { .. } | Page::Whole { .. } => Page::Help,
                }
            }
            KeyCode::Char(' ' | 'p') => self.is_paused = !self.is_paused,
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => self.back(board),
            KeyCode::Enter | KeyCode::Right => self.enter(board),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-10),
            KeyCode::PageDown => self.step(10),
            KeyCode::Home => self.step(isize::MIN / 2),
            KeyCode::End => self.step(isize::MAX / 2),
            KeyCode::Char('s' | '>') => self.choice.sort = self.choice.sort.step(1),
            KeyCode::Char('S' | '<') => self.choice.sort = self.choice.sort.step(-1),
            KeyCode::Char('r') => self.choice.is_reversed = !self.choice.is_reversed,
            KeyCode::Char('/') => {
                self.page = Page::List;
                self.types_filter = true;
            }
            _ => {}
        }
        Flow::Continue
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "keys that mean nothing here are many"
    )]
    fn type_filter(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Enter => self.types_filter = false,
            KeyCode::Esc => {
                self.types_filter = false;
                self.choice.filter.clear();
            }
            KeyCode::Backspace => drop(self.choice.filter.pop()),
            KeyCode::Char(c) if self.choice.filter.len() < MAX_FILTER => self.choice.filter.push(c),
            _ => {}
        }
    }

    fn back(&mut self, board: &Board) {
        self.page = match std::mem::replace(&mut self.page, Page::List) {
            Page::Whole { key, at, .. } => Page::Last {
                requests: board.last(&key),
                key,
                at,
            },
            Page::List | Page::Last { .. } | Page::Help => Page::List,
        };
    }

    fn enter(&mut self, board: &Board) {
        self.page = match std::mem::replace(&mut self.page, Page::List) {
            Page::List => match self.marked_line() {
                Some(key) => Page::Last {
                    requests: board.last(&key),
                    key,
                    at: 0,
                },
                None => Page::List,
            },
            Page::Last { key, requests, at } => match requests.get(at) {
                Some(request) => Page::Whole {
                    request: Box::new(board.with_children(request)),
                    key,
                    at,
                },
                None => Page::Last { key, requests, at },
            },
            Page::Help => Page::List,
            whole @ Page::Whole { .. } => whole,
        };
    }

    fn step(&mut self, by: isize) {
        match &mut self.page {
            Page::List => {
                let keys: Vec<LineKey> = self
                    .view
                    .chosen(&self.choice)
                    .iter()
                    .map(|l| l.key.clone())
                    .collect();
                let at = keys
                    .iter()
                    .position(|key| Some(key) == self.marked.as_ref())
                    .unwrap_or(0);
                self.marked = keys.get(moved(at, by, keys.len())).cloned();
            }
            Page::Last { requests, at, .. } => *at = moved(*at, by, requests.len()),
            Page::Whole { .. } | Page::Help => {}
        }
    }

    fn marked_line(&self) -> Option<LineKey> {
        let lines = self.view.chosen(&self.choice);
        let marked = lines
            .iter()
            .find(|line| Some(&line.key) == self.marked.as_ref());
        marked.or(lines.first()).map(|line| line.key.clone())
    }

    /// Draws it.
    pub fn draw(&mut self, frame: &mut Frame<'_>, board: &Board) {
        if !self.is_paused
            && let Page::Last { key, requests, .. } = &mut self.page
        {
            *requests = board.last(key);
        }
        let areas = Layout::vertical([
            Constraint::Length(4),
            Constraint::Min(1),
            Constraint::Length(1),
        ]);
        let [head, body, foot] = areas.areas(frame.area());
        self.draw_head(frame, head);
        match &self.page {
            Page::List => list::draw(
                frame,
                body,
                &list::Shown {
                    lines: &self.view.chosen(&self.choice),
                    marked: self.marked_line().as_ref(),
                    choice: &self.choice,
                    styles: self.styles(),
                },
            ),
            Page::Last { key, requests, at } => {
                let line = self.view.lines.iter().find(|line| line.key == *key);
                let shown = last::Shown {
                    key,
                    goes_on: line.map_or(&[], |line| &line.goes_on),
                    wall_ns: self.view.wall_ns,
                    requests,
                    at: *at,
                    styles: self.styles(),
                };
                last::draw(frame, body, &shown);
            }
            Page::Whole { request, .. } => whole::draw(frame, body, request, self.styles()),
            Page::Help => frame.render_widget(Paragraph::new(HELP), body),
        }
        frame.render_widget(Paragraph::new(self.foot()).style(self.styles().quiet), foot);
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect) {
        let view = &self.view;
        let paused = if self.is_paused { "  PAUSED" } else { "" };
        let cut = if view.is_cut { " (all that fits)" } else { "" };
        let targets: usize = view.agents.iter().map(|(_, targets, _)| targets).sum();
        let targets = match view.agents.is_empty() {
            true => String::new(),
            false if targets == 1 => "  1 target".to_owned(),
            false => format!("  {targets} targets"),
        };
        let time = cirron_look::figures::date_time(view.wall_ns);
        let first = format!(
            "cirron-agent top  {time} UTC  last {:.0} s{cut}{targets}{paused}",
            view.window_s
        );
        let agents = view
            .agents
            .iter()
            .map(|(_, _, line)| loss_first(&cirron_spool::shown::shown(line)));
        let notes = self
            .notes
            .iter()
            .map(|note| cirron_spool::shown::shown(note).into_owned());
        let last: Vec<String> = notes.chain(agents).collect();
        let [first_totals, second_totals] = text::totals(view);
        let lines = vec![
            TextLine::styled(first, self.styles().title),
            TextLine::raw(first_totals),
            TextLine::raw(second_totals),
            TextLine::styled(last.join("; "), self.styles().quiet),
        ];
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn foot(&self) -> String {
        if self.types_filter {
            return format!(
                "filter: {}_   enter keeps it, esc drops it",
                self.choice.filter
            );
        }
        let filter = match &*self.choice.filter {
            "" => String::new(),
            text => format!("  filter: {text}"),
        };
        match self.page {
            Page::List => format!(
                "q quit  ? help  enter look inside  s sort: {}{}  / filter  space pause{filter}",
                self.choice.sort.word(),
                if self.choice.is_reversed {
                    " (reversed)"
                } else {
                    ""
                },
            ),
            Page::Last { .. } => {
                "q quit  ? help  enter look inside  esc back  space pause".to_owned()
            }
            Page::Whole { .. } | Page::Help => "q quit  esc back".to_owned(),
        }
    }

    fn styles(&self) -> Styles {
        let plain = Style::new();
        let colored = |color| if self.color { plain.fg(color) } else { plain };
        Styles {
            title: plain.add_modifier(Modifier::BOLD),
            quiet: if self.color {
                plain.fg(Color::DarkGray)
            } else {
                plain
            },
            bad: colored(Color::Red).add_modifier(Modifier::BOLD),
            marked: plain.add_modifier(Modifier::REVERSED),
        }
    }
}

/// What an agent says of itself, its counts behind what was lost: a narrow screen has room for one of them.
fn loss_first(line: &str) -> String {
    match line.split_once("; ") {
        Some((counts, rest)) => format!("{rest}; {counts}"),
        None => line.to_owned(),
    }
}

fn moved(at: usize, by: isize, len: usize) -> usize {
    let last = len.saturating_sub(1) as isize;
    (at as isize).saturating_add(by).clamp(0, last) as usize
}

/// How things look. Without colours bold and reversed tell the same.
#[derive(Clone, Copy, Debug)]
struct Styles {
    title: Style,
    quiet: Style,
    bad: Style,
    marked: Style,
}

const HELP: &str = "\
 up, down, j, k, PgUp, PgDn   another line
 enter, right                 what goes on and the last requests of a line; the
                              inside of one
 esc, left                    back
 s, >   S, <                  sort by the next, the one before: requests, open,
                              ttft, latency, tokens, errors, name
 r                            the other way round
 /                            only lines with a text in their endpoint or model
 space, p                     pause; what comes meanwhile is not lost
 q, ctrl-c                    leave

 REQ/S    requests a second that ended          OPEN   requests that go on
 TTFT     time to first token                   LAT    first byte to end
 TPOT     time per output token                 IN/S, OUT/S  tokens a second
 ERR      errors, and status 400 and above      ABRT   broken off
 PART     partial: a hole or a late start touched it
 50, 95, 99 are percentiles of the window. A dash is what nobody measured.
 Lines with > are calls that a process makes itself.";

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
