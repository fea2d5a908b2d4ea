//! Functions of a Go server as scopes, by `--scope`: under the request that their goroutine works for, within one another,
//! while stacks grow and panics unwind them.

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::below::at_once;
use cirron_tests::calls;
use cirron_tests::code::altered;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::{Span, Spool};

use crate::joins_go::serve;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "function_scopes_of_a_go_server_are_below_their_requests",
        need: Need::Stacks,
        run: || functions("scripted-go", false),
    },
    Test {
        name: "function_scopes_of_a_stripped_go_server_are_below_their_requests",
        need: Need::Stacks,
        run: || functions("scripted-go-stripped", true),
    },
];

/// Requests at once.
const AT_ONCE: usize = 16;
/// Calls of `prepare`, and of `grow`, for each request.
const PREPARED: usize = 3;
const GROWN: usize = 21;

fn functions(image: &str, stripped: bool) -> Result<String> {
    let servers = serve(false, stripped)?;
    let rules = [
        "main.prepare(number=0:int,text=1:str)=prepare",
        "main.grow(depth=0:int)",
        "main.recovers",
        "main.fail*",
    ]
    .map(|rule| format!("{image}:{rule}"));
    let mut args = Vec::new();
    for rule in &rules {
        args.extend(["--scope", rule]);
    }
    let agent = Agent::attach(&[servers.gateway.pid()], &args)?;
    at_once(AT_ONCE, |n| {
        let url = format!("http://127.0.0.1:{}/work/{n}", servers.port);
        calls::curl(&["-d", "{}", &url]).map(drop)
    })?;
    let report = agent.finish()?;
    judge(&report.spool)?;
    ensure!(
        altered(servers.gateway.pid())?.is_empty(),
        "code is not as it was"
    );
    Ok(format!(
        "{} scopes of {AT_ONCE} requests",
        AT_ONCE * (PREPARED + GROWN + 2)
    ))
}

fn judge(spool: &Spool) -> Result<()> {
    let requests = spool.requests();
    ensure!(requests.len() == AT_ONCE, "{}", spool.describe());
    for request in &requests {
        let below = |parent: &Span| -> Vec<&Span> {
            let is_below = |span: &&Span| span.parent_id.as_ref() == Some(&parent.id);
            spool.spans.iter().filter(is_below).collect()
        };
        let id = request.path().rsplit('/').next().context("no id")?;
        let all = below(request);
        let names: Vec<&str> = all.iter().map(|span| span.name.as_str()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        ensure!(
            sorted == ["http.client", "main.recovers", "prepare"],
            "{names:?} below {request:?}"
        );
        for span in &all {
            ensure!(
                span.text("cirron.parent.by") == Some("goroutine"),
                "{span:?}"
            );
            match span.name.as_str() {
                "http.client" => ensure!(span.path().contains(&format!("/{id}/")), "{span:?}"),
                "prepare" => prepared(span, id, &below)?,
                _ => {
                    let [fails] = below(span)[..] else {
                        anyhow::bail!("{:?} below {span:?}", below(span));
                    };
                    ensure!(
                        fails.name == "main.fails"
                            && fails.text("cirron.scope.end") == Some("unwound"),
                        "{fails:?}"
                    );
                    ensure!(span.text("cirron.scope.end").is_none(), "{span:?}");
                }
            }
        }
    }
    Ok(())
}

/// A row of calls, each the only one below the one before, with its values.
fn prepared<'s>(first: &'s Span, id: &str, below: &dyn Fn(&Span) -> Vec<&'s Span>) -> Result<()> {
    let mut span = first;
    for n in 0..PREPARED + GROWN {
        let (name, value, left) = match n.checked_sub(PREPARED) {
            None => ("prepare", "number", PREPARED - n),
            Some(n) => ("main.grow", "depth", GROWN - n),
        };
        ensure!(
            span.name == name && span.int(value) == Some(left as i64 - 1),
            "{n}: {span:?}"
        );
        ensure!(
            name != "prepare" || span.text("text") == Some(id),
            "{span:?}"
        );
        ensure!(span.text("cirron.scope.end").is_none(), "{span:?}");
        let inner = below(span);
        match inner[..] {
            [] if n + 1 == PREPARED + GROWN => {}
            [one] => span = one,
            _ => anyhow::bail!("{inner:?} below {span:?}"),
        }
    }
    Ok(())
}
