//! The smallest program: one scope.

use std::thread::sleep;
use std::time::Duration;

fn main() {
    let _scope = cirron_probe::scope!("preprocess");
    sleep(Duration::from_millis(5));
}
