//! Promise: no order goes out on quotes of lines that are lost, though they stand in the view as
//! they came; and with the lines the orders are back.
//!
//! The built binary trades the built-in market fast; its data connection alone is taken away, at
//! the gateway, so that the link to the broker stays ready.

#[allow(dead_code, reason = "each end-to-end test uses its part of it")]
#[path = "node_process/agreement.rs"]
mod agreement;
#[allow(dead_code, reason = "each end-to-end test uses its part of it")]
#[path = "node_process/gateway_control.rs"]
mod gateway_control;
#[allow(dead_code, reason = "each end-to-end test uses its part of it")]
#[path = "node_process/node.rs"]
mod node;
#[path = "node_process/venue_book.rs"]
mod venue_book;

use agreement::orders_accepted;
use gateway_control::Gateway;
use node::{Installation, PATIENCE};
use serde_json::json;
use std::time::{Duration, Instant};

/// The client id of the shipped configuration.
const DATA: i32 = 1;
/// Orders on their way when the lines are lost have arrived after it.
const SETTLED: Duration = Duration::from_secs(2);
/// Four minutes of the market.
const WATCHED: Duration = Duration::from_secs(4);

/// The test must be able to fail: built with `RUSTFLAGS="--cfg mutations"`, it plays itself against
/// a node whose feed passes the loss of a line on only with its next quote, as it once did.
#[cfg(mutations)]
#[test]
fn without_the_word_that_a_line_is_lost_it_turns_red() {
    let output = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["without_live_lines_no_order_goes_out_and_with_them_they_are_back", "--exact"])
        .env("OPTIONSIB_MUTATION", "keep_lost_lines")
        .output()
        .expect("this test runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test") && !output.status.success(), "{said}");
    assert!(said.contains("orders on quotes of lost lines"), "{said}");
}

#[test]
fn without_live_lines_no_order_goes_out_and_with_them_they_are_back() {
    let installation = Installation::with(&Installation::lively_keys());
    installation.lively();
    let gateway = Gateway(&installation);
    let mut node = installation.run(&["--speed", "60"]);
    node.until_ready();
    let until_more_than = |count: u32| {
        let began = Instant::now();
        while orders_accepted(&installation) <= count {
            assert!(began.elapsed() < PATIENCE, "no order after {count}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until_more_than(5);
    let keep_away = |long: Duration| {
        let began = Instant::now();
        while began.elapsed() < long {
            gateway.tell(&json!({"do": "refuse_client", "client": DATA}));
            gateway.tell(&json!({"do": "close", "client": DATA}));
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    keep_away(SETTLED);
    let before = orders_accepted(&installation);
    keep_away(WATCHED);
    let status = node.without_violations();
    assert_eq!(orders_accepted(&installation), before, "orders on quotes of lost lines");
    assert_eq!(status["broker_link"], "ready", "{status}");
    gateway.tell(&json!({"do": "clear"}));
    until_more_than(before);
    let status = node.without_violations();
    assert_eq!(status["trading_state"], "active", "{status}");
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
}
