//! Tests with real containers: root, crun, CNI plugins and nft are needed; each test has its own folder, bridge
//! and subnet, and leaves nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what is meant"
)]

mod conformance;
mod faults;
mod image;
mod lifecycle;
mod network;
mod recovery;
mod sharing;
mod streams;
mod world;

/// The tests' program is its own monitor: it is executed again with this argument.
pub(crate) const MONITOR: &str = "be-the-monitor";

/// Runs before `main`, when the process has a single thread, which the test harness would have more of.
extern "C" fn before_main() {
    if std::env::args().nth(1).is_some_and(|first| first == MONITOR) {
        cox_runtime::monitor::main(std::env::args_os().skip(2));
    }
}

#[expect(unsafe_code, reason = "a function pointer in .init_array is called by the C library before main")]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;
