//! Every probe once: a request with nested scopes and marks, a scope that moves to another thread,
//! a future inside of a scope. An argument says how many requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use cirron_probe::{mark, open_request, open_scope, request, scope};

fn main() {
    let requests = std::env::args().nth(1).and_then(|text| text.parse().ok());
    for i in 0..requests.unwrap_or(1) {
        serve(i);
    }
    println!("{} scopes were too deep", cirron_probe::dropped());
}

fn serve(i: u64) {
    let _request = request!(&format!("job-{i}"), model = "tiny");
    {
        let _scope = scope!("preprocess", index = i, rows = 3);
        mark!("bytes", 42);
    }
    {
        let _scope = scope!("model");
        mark!("loss", 0.25, point, step = i);
        mark!("tokens", 17, summary);
        mark!("cached", true);
        mark!("finish", "stop");
    }
    let fetch = open_scope!("fetch", "url.kind" = "cache");
    thread::spawn(move || {
        let _here = fetch.entered();
        let _parse = scope!("parse");
    })
    .join()
    .unwrap_or_else(|_| println!("the worker panicked"));
    block_on(open_request!().wrap(async {
        let _postprocess = scope!("postprocess");
        Twice(false).await;
    }));
}

/// Pending once.
struct Twice(bool);

impl Future for Twice {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
