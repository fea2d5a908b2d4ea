//! The real-server suite: unmodified servers and clients of others, the real agent, exact numbers.
//!
//! `cargo test -p cirron-tests --test real [-- FILTER...]`, as root. What cannot run here prints
//! `SKIP name: reason`; `CIRRON_REQUIRE_BPF=1` and `CIRRON_REQUIRE_STACKS=1` make that a failure.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bodies;
mod buffers;
mod cli;
mod contexts;
mod daemon;
mod databases;
mod detach;
mod dialects;
mod documented;
mod event_loops;
mod faults;
mod files;
mod grpc;
mod h2c;
mod handed_on;
mod held;
mod hits;
mod http2;
mod http2_more;
mod joins;
mod joins_go;
mod joins_handed;
mod kept;
mod leases;
mod load;
mod look;
mod memory;
mod net;
mod otel;
mod peers;
mod plain;
mod pods;
mod probes;
mod processes;
mod quiet;
mod read_back;
mod replay;
mod rights;
mod roles;
mod rules;
mod scopes;
mod scopes_go;
mod scopes_hot;
mod scopes_loops;
mod scopes_servers;
mod scopes_unwound;
mod sdk;
mod ship;
mod ship_tls;
mod stacks;
mod syscalls;
mod tails;
mod terminal;
mod tls;
mod tls_libs;
mod tls_more;
mod tls_secrets;
mod tls_shapes;
mod tls_tools;
mod top;
mod usdt_postgres;
mod verified;
mod websocket;

use std::process::ExitCode;

use cirron_tests::runner;

fn main() -> ExitCode {
    let all = [
        cli::TESTS,
        stacks::TESTS,
        read_back::TESTS,
        bodies::TESTS,
        contexts::TESTS,
        probes::TESTS,
        scopes::TESTS,
        scopes_go::TESTS,
        scopes_servers::TESTS,
        scopes_loops::TESTS,
        scopes_hot::TESTS,
        scopes_unwound::TESTS,
        sdk::TESTS,
        ship::TESTS,
        ship_tls::TESTS,
        syscalls::TESTS,
        tails::TESTS,
        buffers::TESTS,
        handed_on::TESTS,
        rights::TESTS,
        roles::TESTS,
        rules::TESTS,
        daemon::TESTS,
        pods::TESTS,
        top::TESTS,
        processes::TESTS,
        quiet::TESTS,
        faults::TESTS,
        held::TESTS,
        joins::TESTS,
        event_loops::TESTS,
        otel::TESTS,
        peers::TESTS,
        joins_go::TESTS,
        joins_handed::TESTS,
        memory::TESTS,
        net::TESTS,
        databases::TESTS,
        replay::TESTS,
        dialects::TESTS,
        documented::TESTS,
        http2::TESTS,
        h2c::TESTS,
        http2_more::TESTS,
        websocket::TESTS,
        grpc::TESTS,
        terminal::TESTS,
        files::TESTS,
        kept::TESTS,
        leases::TESTS,
        tls::TESTS,
        tls_libs::TESTS,
        tls_more::TESTS,
        tls_shapes::TESTS,
        tls_secrets::TESTS,
        tls_tools::TESTS,
        usdt_postgres::TESTS,
        verified::TESTS,
        detach::TESTS,
        load::TESTS,
    ];
    runner::main(&all.concat())
}
