//! `cirron-agent`: the way in. All work is in the library; this only runs it and exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    resolve_names_alone();
    cirron_agent::main()
}

/// In the static binary (`cargo xtask dist`) names of hosts are resolved by `/etc/hosts` and DNS, whatever
/// `/etc/nsswitch.conf` says: other ways are libraries of the machine, which want the C library that they were built for.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
fn resolve_names_alone() {
    unsafe extern "C" {
        fn __nss_configure_lookup(
            database: *const std::ffi::c_char,
            services: *const std::ffi::c_char,
        ) -> std::ffi::c_int;
    }
    // SAFETY: both are texts that end in a zero and are only read; no other thread runs yet.
    unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
}
