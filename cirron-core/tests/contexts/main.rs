//! Whose request a call is in programs of Python with an event loop, judged by ids in the paths: requests of every kind, many at
//! once, whose calls are made by their task, by tasks of it, by others' tasks, by threads. Seeded.
//!
//! A call below another request than its own is wrong, and there may be none, while records are lost as well. The one exception is
//! what one request starts for others (coalesced): its evidence says that descent is all that is known.
//! `CIRRON_REQUESTS=100000` chooses another number of requests, `CIRRON_SEED=7` another seed.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../simulation/asked.rs"]
mod asked;
#[path = "../simulation/feed.rs"]
mod feed;
#[path = "../simulation/random.rs"]
mod random;
mod report;
mod server;
#[path = "../simulation/statement.rs"]
mod statement;
mod told;
mod world;

use asked::number;
use report::{Report, judge};
use server::{Kind, Loop, Server};

const REQUESTS: u64 = 3_000;
const LOST_PPM: u64 = 5_000;

/// What is other than usual.
#[derive(Clone, Copy, Debug, Default)]
struct Setting {
    lost_ppm: u64,
    /// Clients send two requests in one segment.
    pipelines: bool,
    /// The program tells requests, scopes and marks.
    tells: bool,
    /// What serves a connection sets an option when it is told of it.
    tunes: bool,
    /// It speaks HTTPS.
    tls: bool,
    /// It calls a database, each request with a statement of its own length.
    net: bool,
}

const TOLD: Setting = Setting {
    lost_ppm: 0,
    pipelines: false,
    tells: true,
    tunes: false,
    tls: false,
    net: false,
};

/// All there are.
fn settings() -> impl Iterator<Item = Setting> {
    (0..16).map(|n| Setting {
        lost_ppm: if n & 1 == 0 { 0 } else { LOST_PPM },
        pipelines: n & 2 != 0,
        tells: n & 4 != 0,
        tunes: n & 8 != 0,
        tls: false,
        net: false,
    })
}

fn run(which: Loop, kinds: &[Kind], setting: Setting) -> Report {
    let first = number("CIRRON_SEED", 1);
    let mut report = Report::default();
    for seed in first..first + 4 {
        for at_once in [1, 2, 32] {
            let mut server = Server::new(seed, setting.lost_ppm, which, kinds, setting.net);
            if setting.pipelines {
                server = server.pipelines();
            }
            if setting.tunes {
                server = server.tunes();
            }
            if setting.tls {
                server = server.tls();
            }
            if setting.tells {
                server = server.tells();
            }
            let requests = number("CIRRON_REQUESTS", REQUESTS) / 12;
            judge(&server.serve(requests, at_once), &mut report);
        }
    }
    println!("{which:?}, {kinds:?}, {setting:?}: {report:?}");
    report
}

const LOOPS: [Loop; 2] = [Loop::Asyncio, Loop::Uvloop];

#[test]
fn calls_of_tasks_and_what_they_start_are_below_their_requests() {
    for which in LOOPS {
        for kind in Kind::FIT {
            let report = run(which, &[kind], Setting::default());
            assert_eq!(report.wrong, 0, "{which:?} {kind:?} {report:?}");
            if kind != Kind::HangUp {
                // But for what the server calls for itself.
                let others = report.unknown();
                assert!(report.right > 9 * others, "{which:?} {kind:?} {report:?}");
            }
        }
    }
}

#[test]
fn what_a_program_tells_is_below_its_request_and_calls_are_in_their_scopes() {
    for which in LOOPS {
        for kind in Kind::FIT {
            let report = run(which, &[kind], TOLD);
            assert_eq!(report.wrong, 0, "{which:?} {kind:?} {report:?}");
            if kind != Kind::HangUp {
                // But for scopes behind the answer, and what the server calls for itself.
                let others = report.unknown();
                assert!(report.right > 4 * others, "{which:?} {kind:?} {report:?}");
                assert!(report.in_scopes * 4 > report.right, "{kind:?} {report:?}");
                assert!(report.marks * 8 > report.right, "{kind:?} {report:?}");
            }
        }
    }
}

#[test]
fn calls_of_nobody_s_task_are_below_none() {
    for which in LOOPS {
        for kind in Kind::UNFIT {
            let report = run(which, &[kind], Setting::default());
            assert_eq!(
                (report.right, report.wrong),
                (0, 0),
                "{which:?} {kind:?} {report:?}"
            );
        }
    }
}

/// Whether it can be known what is made for a connection. Of one that uvloop accepts nothing says so, unless an option is set.
fn is_known(which: Loop, setting: Setting) -> bool {
    which == Loop::Asyncio || setting.tunes
}

const TUNED: Setting = Setting {
    lost_ppm: 0,
    pipelines: false,
    tells: false,
    tunes: true,
    tls: false,
    net: false,
};

#[test]
fn a_task_for_each_request_made_by_that_of_the_connection() {
    for which in LOOPS {
        for setting in [Setting::default(), TUNED] {
            let report = run(which, &[Kind::Handler], setting);
            assert_eq!(report.wrong, 0, "{report:?}");
            match is_known(which, setting) {
                true => assert!(report.right > 9 * report.unknown(), "{report:?}"),
                false => assert_eq!(report.right, 0, "{report:?}"),
            }
        }
    }
}

#[test]
fn what_is_made_by_the_task_of_a_request_that_the_connection_s_made() {
    for which in LOOPS {
        for kind in [Kind::Stream, Kind::Gather, Kind::Writer, Kind::Thread] {
            let report = run(which, &[Kind::Handler, kind], TUNED);
            assert_eq!(report.wrong, 0, "{report:?}");
            assert!(report.right > 2 * report.unknown(), "{report:?}");
        }
    }
}

/// Who makes it says nothing for whom, but of the first request of a connection.
#[test]
fn a_task_for_what_was_answered_made_when_the_next_request_waits() {
    for which in LOOPS {
        for setting in [
            TUNED,
            Setting {
                tells: true,
                ..TUNED
            },
        ] {
            let report = run(which, &[Kind::After], setting);
            assert_eq!(report.wrong, 0, "{report:?}");
            assert!(report.right > report.unknown(), "{report:?}");
        }
    }
}

/// The calls of the first request on each connection are known.
#[test]
fn one_task_for_each_connection() {
    for kinds in [
        &[Kind::Connection][..],
        &[Kind::Connection, Kind::Gather, Kind::Writer],
        &[Kind::Connection, Kind::Background],
    ] {
        for which in LOOPS {
            for setting in [Setting::default(), TOLD, TUNED] {
                for pipelines in [false, true] {
                    let setting = Setting {
                        pipelines,
                        ..setting
                    };
                    let report = run(which, kinds, setting);
                    assert_eq!(report.wrong, 0, "{report:?}");
                    let is_known = is_known(which, setting);
                    assert_eq!(report.right > report.unknown() / 20, is_known, "{report:?}");
                }
            }
        }
    }
}

#[test]
fn tasks_of_connections_among_all_kinds_while_records_are_lost() {
    let mut kinds = Kind::FIT.to_vec();
    kinds.extend(Kind::UNFIT);
    kinds.extend([Kind::Connection, Kind::Handler, Kind::After]);
    for which in LOOPS {
        for setting in settings() {
            let report = run(which, &kinds, setting);
            assert_eq!(report.wrong, 0, "{which:?} {setting:?} {report:?}");
            let is_known = is_known(which, setting);
            assert_eq!(report.right > 0, is_known, "{setting:?} {report:?}");
        }
    }
}

#[test]
fn all_of_it_mixed_while_records_are_lost() {
    let mut kinds = Kind::FIT.to_vec();
    kinds.extend(Kind::UNFIT);
    for which in LOOPS {
        for setting in settings() {
            let report = run(which, &kinds, setting);
            assert_eq!(report.wrong, 0, "{which:?} {setting:?} {report:?}");
            assert!(report.right > 0, "{which:?} {setting:?} {report:?}");
        }
    }
}

#[test]
fn calls_of_requests_over_https() {
    let tls = Setting {
        tls: true,
        ..Setting::default()
    };
    let mut kinds = Kind::FIT.to_vec();
    kinds.extend(Kind::UNFIT);
    for which in LOOPS {
        for kind in Kind::FIT {
            let report = run(which, &[kind], tls);
            assert_eq!(report.wrong, 0, "{which:?} {kind:?} {report:?}");
            let others = report.unknown();
            let is_cut_off = kind == Kind::HangUp;
            assert!(
                is_cut_off || report.right > 9 * others,
                "{kind:?} {report:?}"
            );
        }
        for setting in settings() {
            let setting = Setting {
                tls: true,
                ..setting
            };
            if setting.tunes {
                kinds.extend([Kind::Connection, Kind::Handler, Kind::After]);
            }
            let report = run(which, &kinds, setting);
            assert_eq!(report.wrong, 0, "{which:?} {setting:?} {report:?}");
        }
    }
}

/// Who started a call is not for whom it is: the exception that the evidence says.
#[test]
fn what_one_request_starts_for_others_is_said_to_be_by_descent() {
    for which in LOOPS {
        let report = run(which, &[Kind::Coalesced], Setting::default());
        let by: Vec<&str> = report.wrong_by.keys().map(String::as_str).collect();
        assert_eq!(by, ["context_descent"], "{which:?} {report:?}");
    }
}

#[test]
fn statements_of_a_database_are_below_the_request_that_asked() {
    let net = Setting {
        net: true,
        ..Setting::default()
    };
    for which in LOOPS {
        for kind in [Kind::Own, Kind::Writer, Kind::Gather, Kind::Thread] {
            let report = run(which, &[kind], net);
            assert_eq!(report.wrong, 0, "{which:?} {kind:?} {report:?}");
            assert!(report.right > 9 * report.unknown(), "{report:?}");
        }
        let all = [&Kind::FIT[..], &Kind::UNFIT].concat();
        for (lost_ppm, pipelines, tells) in [
            (0, false, false),
            (0, false, true),
            (LOST_PPM, false, false),
            (LOST_PPM, true, true),
        ] {
            let setting = Setting {
                lost_ppm,
                pipelines,
                tells,
                ..net
            };
            let report = run(which, &all, setting);
            assert_eq!(report.wrong, 0, "{which:?} {setting:?} {report:?}");
        }
    }
}
