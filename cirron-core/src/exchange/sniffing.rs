//! The beginning of a connection, while it is not known what it speaks.
//!
//! Keeps the first pieces of both directions until one of them tells. A connection seen from its
//! first byte is what that byte begins; one joined late, or with a hole at its start, is looked at
//! wherever a piece begins, for a bounded number of bytes.

use super::hold::HeldPiece;
use super::{Protocol, Role};
use crate::cut::behind;
use crate::limits::{MAX_CANDIDATE_BYTES, MAX_DOUBTFUL_BYTES, MAX_HEAD_BYTES, MAX_SNIFF_BYTES};
use crate::proto::h1::late;
use crate::proto::h1::start_line::Plausible;
use crate::proto::h2;
use crate::proto::preamble::{self, Header};
use crate::proto::sniff::{Sniff, sniff};
use crate::stream::{Direction, Piece};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Undecided,
    /// HTTP/1, with requests in this direction.
    Http1(Direction),
    /// HTTP/2, with requests in this direction, as far as known.
    Http2 {
        requests: Option<Direction>,
        late: bool,
    },
    /// Nothing for us.
    Opaque(Protocol),
}

#[derive(Debug, Default)]
struct Side {
    /// The bytes that have been held and not yet told.
    prefix: Vec<u8>,
    /// The first byte of the connection is not the first byte here.
    late: bool,
    /// Bytes that begin nothing, and may be a request line that nobody can read.
    doubtful: usize,
    /// Bytes that passed, lost ones too.
    seen: u64,
    /// A hole was not kept.
    is_uncounted: bool,
}

/// What stands before a request.
enum Before {
    Nothing,
    /// It may be a header that is not whole yet.
    NeedMore,
    /// What was held, and this number of bytes of the piece.
    Bytes(usize),
}

/// A connection whose protocol is not known yet.
#[derive(Debug)]
pub(super) struct Sniffing {
    role: Option<Role>,
    inbound: Side,
    outbound: Side,
    held: Vec<(Direction, HeldPiece)>,
    skipped: u64,
    /// Of a connection that was seen from its beginning: bytes before the first request.
    passed_over: u64,
}

impl Sniffing {
    pub(super) fn new(late: bool, role: Option<Role>) -> Sniffing {
        let side = || Side {
            prefix: Vec::new(),
            late,
            doubtful: 0,
            seen: 0,
            is_uncounted: false,
        };
        Sniffing {
            role,
            inbound: side(),
            outbound: side(),
            held: Vec::new(),
            skipped: 0,
            passed_over: 0,
        }
    }

    /// Bytes that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        let prefixes = self.inbound.prefix.capacity() + self.outbound.prefix.capacity();
        let held = self.held.iter().map(|(_, piece)| piece.cost());
        size_of::<Sniffing>() + prefixes + held.sum::<usize>()
    }

    /// Bytes before the first request, of a connection that was seen from its beginning.
    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Bytes of a direction that passed before what is held of it; `None`: not known.
    pub(super) fn before_held(&self, dir: Direction) -> Option<u64> {
        let side = match dir {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        };
        let held = self.held.iter().filter(|(d, _)| *d == dir);
        let held: u64 = held.map(|(_, piece)| piece.piece().len()).sum();
        side.seen.checked_sub(held).filter(|_| !side.is_uncounted)
    }

    /// What was held, in order of arrival.
    pub(super) fn into_held(self) -> Vec<(Direction, HeldPiece)> {
        self.held
    }

    /// Looks at a piece, and keeps it if it is of use later.
    pub(super) fn handle(&mut self, dir: Direction, piece: Piece<'_>) -> Verdict {
        let mut piece = piece;
        self.side(dir).seen += piece.len();
        if let Piece::Data { ts, bytes } = piece {
            match self.preamble(dir, bytes) {
                Before::Nothing => {}
                Before::NeedMore => {
                    self.side(dir).prefix.extend_from_slice(bytes);
                    self.keep(dir, piece);
                    return Verdict::Undecided;
                }
                Before::Bytes(len) => {
                    let side = self.side(dir);
                    let held = side.prefix.len() + side.doubtful;
                    self.passed_over += (held + len) as u64;
                    self.forget(dir);
                    let bytes = behind(bytes, len);
                    if bytes.is_empty() {
                        return Verdict::Undecided;
                    }
                    piece = Piece::Data { ts, bytes };
                }
            }
        }
        let responses = self.responses_go(dir);
        let side = match dir {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        };
        let bytes = match piece {
            Piece::Data { bytes, .. } => bytes,
            Piece::Gap { .. } => {
                side.late = true;
                side.prefix = Vec::new();
                self.keep(dir, piece);
                return Verdict::Undecided;
            }
            Piece::Eof { .. } => {
                self.keep(dir, piece);
                return Verdict::Undecided;
            }
        };
        if side.doubtful > 0 {
            return self.doubt(dir, piece, bytes.len());
        }
        let alone = side.prefix.is_empty();
        let mut seen = if alone {
            tell(bytes, side.late, responses)
        } else {
            side.prefix.extend_from_slice(bytes);
            tell(&side.prefix, side.late, responses)
        };
        let begins = matches!(
            sniff(bytes, false),
            Sniff::Http1Request | Sniff::Http1Response
        );
        if side.late && !alone && (seen == Sniff::Other || seen == Sniff::NeedMore && begins) {
            // What was held before was nothing: this piece may be the beginning.
            self.forget(dir);
            seen = tell(bytes, true, responses);
        }
        let side = match dir {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        };
        match seen {
            Sniff::Http1Request | Sniff::Http1Response => {
                self.held.push((dir, piece.into()));
                let is_request = seen == Sniff::Http1Request;
                Verdict::Http1(if is_request { dir } else { dir.opposite() })
            }
            Sniff::Http2Preface => {
                self.held.push((dir, piece.into()));
                Verdict::Http2 {
                    requests: Some(dir),
                    late: false,
                }
            }
            Sniff::Http2Frames => {
                let late = side.late;
                self.held.push((dir, piece.into()));
                // A server may send SETTINGS before the preface has come.
                let by_role = self.role.map(|role| response_direction(role).opposite());
                Verdict::Http2 {
                    requests: if late { by_role } else { Some(dir.opposite()) },
                    late,
                }
            }
            Sniff::Tls => Verdict::Opaque(Protocol::Tls),
            Sniff::NeedMore => {
                if side.prefix.is_empty() {
                    side.prefix = bytes.to_vec();
                }
                let limit = if side.late {
                    MAX_CANDIDATE_BYTES
                } else {
                    MAX_HEAD_BYTES
                };
                if side.prefix.len() <= limit {
                    self.keep(dir, piece);
                    return Verdict::Undecided;
                }
                self.nothing(dir, piece, bytes.len())
            }
            Sniff::Other => self.nothing(dir, piece, bytes.len()),
        }
    }

    fn side(&mut self, dir: Direction) -> &mut Side {
        match dir {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        }
    }

    /// What of this piece stands before a request: what a proxy says of the client, or anything before a
    /// line that can only be a request's.
    fn preamble(&mut self, dir: Direction, bytes: &[u8]) -> Before {
        let side = self.side(dir);
        if side.late {
            return Before::Nothing;
        }
        if side.doubtful == 0 {
            let held = side.prefix.len();
            let header = match preamble::header(&side.prefix) {
                _ if held == 0 => preamble::header(bytes),
                // What is held, of a request line say, is not copied for each piece.
                Header::No => Header::No,
                Header::Whole(_) | Header::NeedMore => {
                    preamble::header(&[&side.prefix, bytes].concat())
                }
            };
            match header {
                // One that was whole before is not held.
                Header::Whole(len) => return Before::Bytes(len.saturating_sub(held)),
                Header::NeedMore => return Before::NeedMore,
                Header::No if held > 0 || !preamble::is_junk(bytes) => return Before::Nothing,
                Header::No => {}
            }
        }
        preamble::request_in(bytes).map_or(Before::Nothing, Before::Bytes)
    }

    /// More that begins nothing. One side may: its other one says what that was.
    fn doubt(&mut self, dir: Direction, piece: Piece<'_>, len: usize) -> Verdict {
        let (side, other) = match dir {
            Direction::Inbound => (&mut self.inbound, &self.outbound),
            Direction::Outbound => (&mut self.outbound, &self.inbound),
        };
        side.prefix = Vec::new();
        side.doubtful += len;
        if other.doubtful > 0 || side.doubtful > MAX_DOUBTFUL_BYTES {
            return Verdict::Opaque(Protocol::Opaque);
        }
        self.keep(dir, piece);
        Verdict::Undecided
    }

    fn nothing(&mut self, dir: Direction, piece: Piece<'_>, len: usize) -> Verdict {
        let side = match dir {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        };
        if !side.late {
            let len = side.prefix.len().max(len);
            return self.doubt(dir, piece, len);
        }
        self.forget(dir);
        self.skipped = self.skipped.saturating_add(len as u64);
        if self.skipped > MAX_SNIFF_BYTES {
            return Verdict::Opaque(Protocol::Opaque);
        }
        Verdict::Undecided
    }

    /// Whether the role says that responses go this way.
    fn responses_go(&self, dir: Direction) -> Option<bool> {
        self.role.map(|role| dir == response_direction(role))
    }

    fn keep(&mut self, dir: Direction, piece: Piece<'_>) {
        // Each data piece is bounded by the prefix; of the others a few say it all.
        let same =
            |(d, p): &(Direction, HeldPiece)| *d == dir && !matches!(p.piece(), Piece::Data { .. });
        if matches!(piece, Piece::Data { .. }) || self.held.iter().filter(|h| same(h)).count() < 2 {
            self.held.push((dir, piece.into()));
        } else {
            self.side(dir).is_uncounted = true;
        }
    }

    /// Drops the bytes held of a direction; its holes stay.
    fn forget(&mut self, dir: Direction) {
        match dir {
            Direction::Inbound => (self.inbound.prefix, self.inbound.doubtful) = (Vec::new(), 0),
            Direction::Outbound => (self.outbound.prefix, self.outbound.doubtful) = (Vec::new(), 0),
        }
        self.held
            .retain(|(d, p)| *d != dir || !matches!(p.piece(), Piece::Data { .. }));
    }
}

/// The direction of responses, for a role.
pub(super) fn response_direction(role: Role) -> Direction {
    match role {
        Role::Server => Direction::Outbound,
        Role::Client => Direction::Inbound,
    }
}

fn tell(bytes: &[u8], late: bool, responses: Option<bool>) -> Sniff {
    let mut seen = sniff(bytes, !late);
    if late && matches!(seen, Sniff::Http2Frames | Sniff::Other | Sniff::NeedMore) {
        if h2::find_frames(bytes) == Some(0) {
            return Sniff::Http2Frames;
        }
        if seen == Sniff::Http2Frames {
            // One header alone is no evidence here.
            seen = Sniff::Other;
        }
    }
    if !late || responses == Some(false) {
        return seen;
    }
    match (seen, late::response_body(bytes, responses == Some(true))) {
        (Sniff::Other | Sniff::NeedMore, Plausible::Yes) => Sniff::Http1Response,
        (Sniff::Other, Plausible::NeedMore) => Sniff::NeedMore,
        (seen, _) => seen,
    }
}
