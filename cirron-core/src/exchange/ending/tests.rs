//! The rules by themselves, of a protocol that only writes down what it is told.

use super::*;
use crate::exchange::{ExchangeEvent, ExchangeId};
use CloseCause::{
    AgentStop, LocalClose, LocalShutWrite, NetError, PeerFin, PeerReset, ProcessExit, Untold,
};

/// What was told, and one exchange that is being answered.
struct Told {
    role: Option<Role>,
    steps: Vec<String>,
    exchange: Exchange,
}

struct Nobody;

impl ExchangeSink for Nobody {
    fn on_event(&mut self, _id: ExchangeId, _ts: MonoNs, _event: ExchangeEvent<'_>) {}
}

impl Told {
    fn by(role: Option<Role>) -> Told {
        Told {
            role,
            steps: Vec::new(),
            exchange: Exchange::new(ExchangeId(1), MonoNs(0), false),
        }
    }

    fn after(mut self, cause: CloseCause) -> Told {
        close(
            &mut self,
            MonoNs(1),
            cause,
            &mut Ends::default(),
            &mut Nobody,
        );
        self
    }
}

impl OpenExchanges for Told {
    fn role(&self) -> Option<Role> {
        self.role
    }

    fn is_mid_response(&self) -> bool {
        true
    }

    fn each_leavable(&mut self, work: &mut dyn FnMut(&mut Exchange)) {
        work(&mut self.exchange);
    }

    fn end_direction(&mut self, dir: Direction, ending: &mut Ending<'_>) {
        let by = closed_by(self, ending.ends);
        self.steps.push(format!(
            "{dir:?} {}",
            by.map_or("nobody", AbortedBy::as_str)
        ));
    }

    fn end_all(&mut self, _ending: &mut Ending<'_>) {
        self.steps.push("all".to_owned());
    }
}

#[test]
fn each_cause_ends_its_directions_and_all_where_both_are_over() {
    let rows: [(CloseCause, &[&str]); 8] = [
        (PeerFin, &[]),
        (LocalShutWrite, &["Outbound server"]),
        (PeerReset, &["Inbound client", "Outbound client", "all"]),
        (LocalClose, &["Inbound server", "Outbound server", "all"]),
        (ProcessExit, &["Inbound server", "Outbound server", "all"]),
        (NetError, &["Inbound nobody", "Outbound nobody", "all"]),
        (AgentStop, &["Inbound agent", "Outbound agent", "all"]),
        (Untold, &["Inbound nobody", "Outbound nobody", "all"]),
    ];
    for (cause, steps) in rows {
        assert_eq!(Told::by(Some(Role::Server)).after(cause).steps, steps);
    }
}

#[test]
fn the_direction_of_the_requests_ends_first() {
    let client = Told::by(Some(Role::Client)).after(LocalClose);
    assert_eq!(client.steps, ["Outbound client", "Inbound client", "all"]);
    let unknown = Told::by(None).after(LocalClose);
    assert_eq!(unknown.steps, ["Inbound nobody", "Outbound nobody", "all"]);
}

#[test]
fn only_a_servers_client_may_have_left_with_a_fin() {
    let asked = |role, cause| Told::by(role).after(cause).exchange.leaving != Leaving::No;
    assert!(asked(Some(Role::Server), PeerFin));
    assert!(!asked(Some(Role::Client), PeerFin));
    assert!(!asked(None, PeerFin));
    assert!(!asked(Some(Role::Server), LocalShutWrite));
    assert!(!asked(Some(Role::Server), PeerReset));
}

#[test]
fn a_read_that_returned_nothing_is_a_fin_and_ends_its_direction() {
    let mut told = Told::by(Some(Role::Server));
    let mut ends = Ends::default();
    end_of_file(
        &mut told,
        Direction::Inbound,
        MonoNs(1),
        &mut ends,
        &mut Nobody,
    );
    assert_eq!(told.steps, ["Inbound client"]);
    assert_ne!(told.exchange.leaving, Leaving::No);
    // A later close does not say who.
    close(&mut told, MonoNs(2), LocalClose, &mut ends, &mut Nobody);
    assert_eq!(
        told.steps[1..],
        ["Inbound client", "Outbound client", "all"]
    );
}

#[test]
fn a_client_that_is_seen_to_read_on_ended_nothing() {
    let mut told = Told::by(Some(Role::Server));
    let mut ends = Ends::default();
    told.exchange.leaving = Leaving::Stayed;
    see_who_stayed(&mut told, MonoNs(1), &mut ends, &mut Nobody);
    close(&mut told, MonoNs(1), PeerFin, &mut ends, &mut Nobody);
    assert_eq!(closed_by(&told, &ends), Some(AbortedBy::Client));
    see_who_stayed(&mut told, MonoNs(2), &mut ends, &mut Nobody);
    assert_eq!(closed_by(&told, &ends), None);
    // Its next FIN neither; what ends it is the server's close.
    close(&mut told, MonoNs(3), PeerFin, &mut ends, &mut Nobody);
    close(&mut told, MonoNs(4), LocalClose, &mut ends, &mut Nobody);
    assert_eq!(closed_by(&told, &ends), Some(AbortedBy::Server));
}

#[test]
fn what_an_exchange_lacks_ends_as_its_reason_says() {
    /// Events of an exchange, by name.
    #[derive(Default)]
    struct Names(Vec<String>);
    impl ExchangeSink for Names {
        fn on_event(&mut self, _id: ExchangeId, ts: MonoNs, event: ExchangeEvent<'_>) {
            self.0.push(if let ExchangeEvent::RequestEnd(end) = event {
                format!("request {end:?}")
            } else if let ExchangeEvent::ResponseEnd(end) = event {
                format!("response {end:?}")
            } else if let ExchangeEvent::End(end) = event {
                format!("{} {:?} cut {}", ts.0, end.aborted_by, end.cut)
            } else {
                "what is no end".to_owned()
            });
        }
    }
    use crate::exchange::open::Response;
    use Unfinished::{Complete, CutOff, Lost, NotHttp};
    let by = Some(AbortedBy::Server);
    let rows: [(Response, Unfinished, &[&str]); 7] = [
        (
            Response::Waiting,
            CutOff,
            &["request Aborted", "9 Some(Server) cut true"],
        ),
        (
            Response::Waiting,
            NotHttp,
            &["request Aborted", "9 Some(Server) cut true"],
        ),
        (
            Response::Waiting,
            Lost,
            &["request Lost", "9 None cut false"],
        ),
        (
            Response::Open,
            CutOff,
            &[
                "request Aborted",
                "response Aborted",
                "9 Some(Server) cut true",
            ],
        ),
        (
            Response::Open,
            NotHttp,
            &["request Aborted", "response Lost", "9 None cut false"],
        ),
        (
            Response::Open,
            Lost,
            &["request Lost", "response Lost", "9 None cut false"],
        ),
        (
            Response::Open,
            Complete,
            &["request Complete", "response Complete", "9 None cut false"],
        ),
    ];
    for (response, why, said) in rows {
        let mut x = Exchange::new(ExchangeId(1), MonoNs(0), false);
        x.response = response;
        let mut names = Names::default();
        x.finish(MonoNs(9), why, by, &mut names);
        assert_eq!(names.0, said, "{response:?} {why:?}");
    }
    // One that is over ends when it was seen last.
    let mut x = Exchange::new(ExchangeId(1), MonoNs(3), false);
    (x.request, x.response) = (
        Some(crate::exchange::MessageEnd::Complete),
        Response::Done(crate::exchange::MessageEnd::Complete),
    );
    let mut names = Names::default();
    x.finish(MonoNs(9), CutOff, by, &mut names);
    assert_eq!(names.0, ["3 None cut false"]);
}
