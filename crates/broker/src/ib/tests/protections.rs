//! Each incident with its protection taken out: it must fail, and with the words that say what went
//! wrong. Only in builds with `RUSTFLAGS="--cfg mutations"`; it prints the table:
//! `cargo test --release --package broker --lib protections -- --nocapture`.
//!
//! A protection is taken out for a whole process, so this test runs its own binary: once per row,
//! with the row's incident and fault, and once with every incident and nothing taken out.

use std::collections::BTreeSet;
use std::process::{Command, Output};

const VARIABLE: &str = "OPTIONSIB_MUTATION";
const HERE: &str = "ib::tests::";
/// Every test of these files is an incident, and has a row.
const FILES: [&str; 3] = ["incidents::", "nightly::", "trade_incidents::"];

/// Incidents, each with the faults that take out what protects against it, and words that the
/// failure then says.
const INCIDENTS: &[(&str, &[(&str, &str)])] = &[
    (
        "trade_incidents::a_modify_during_an_outage_is_not_sent",
        &[("stay_ready_without_broker", "right: Err(NotReady)")],
    ),
    (
        "trade_incidents::a_modify_that_an_outage_swallowed_leaves_one_order_at_its_old_terms",
        &[("stack_modifies", "right: Err(OrderInTheWay)")],
    ),
    (
        "trade_incidents::orders_lost_in_a_gateway_restart_are_not_doubled",
        &[
            ("resend_unknown", "nothing is sent again"),
            ("skip_settle", "absent once proves nothing"),
            ("forget_last_order_id", "a number was used again"),
        ],
    ),
    (
        "trade_incidents::an_order_number_is_not_used_again_after_a_restart",
        &[("forget_last_order_id", "a number was used again")],
    ),
    (
        "trade_incidents::fills_during_an_outage_are_booked_when_the_broker_is_back",
        &[("ignore_broker_back", "an event comes")],
    ),
    (
        "trade_incidents::a_combo_is_sent_once_and_its_legs_are_booked_once",
        &[("skip_exec_dedupe", "booked once")],
    ),
    (
        "trade_incidents::a_working_order_is_managed_after_a_restart_of_node_and_gateway",
        &[("disown_found_orders", "right: Working")],
    ),
    (
        "trade_incidents::a_fill_that_was_never_told_is_found_within_90_seconds",
        &[("ask_only_on_request", "90 s of market time have passed")],
    ),
    (
        "trade_incidents::an_execution_that_is_missing_from_its_order_is_asked_for_at_once",
        &[("ignore_mismatch", "right: (5, 1)")],
    ),
    (
        "trade_incidents::a_correction_after_the_close_replaces_what_was_booked",
        &[("book_corrections_anew", "replaced, not added")],
    ),
    (
        "trade_incidents::a_cancel_that_crosses_a_fill_leaves_the_fill",
        &[("release_on_cancel_request", "what may still fill stays reserved")],
    ),
    (
        "incidents::a_cancel_that_crosses_a_fill_rejects_the_cancel_alone",
        &[("late_cancel_ends_order", "an event comes")],
    ),
    (
        "incidents::duplicated_and_reordered_executions_are_told_once",
        &[("repeat_executions", "right: 5")],
    ),
    (
        "incidents::a_question_does_not_stir_the_live_stream",
        &[("repeat_statuses", "was echoed as Status")],
    ),
    ("incidents::a_half_open_socket_is_found", &[("skip_heartbeat", "an event comes")]),
    ("incidents::a_client_id_in_use_is_tried_again", &[("give_up_when_in_use", "HumanNeeded")]),
    (
        "incidents::a_session_that_restarts_does_not_meet_its_own_client_id",
        &[("connect_without_waiting", "is in use (326)")],
    ),
    (
        "incidents::an_answer_without_its_end_is_no_answer",
        &[("take_silence_for_empty", "panicked")],
    ),
    ("incidents::delayed_data_is_never_taken_for_live", &[("take_delayed_for_live", "Live")]),
    (
        "incidents::a_farm_break_freezes_the_lines",
        &[("ignore_farm_break", "a frozen line did not come")],
    ),
    (
        "incidents::a_competing_session_freezes_the_lines",
        &[("ignore_competing_session", "a frozen line did not come")],
    ),
    (
        "incidents::contract_details_that_never_come_are_an_error_in_time",
        &[("skip_details_deadline", "no contract details within")],
    ),
    (
        "incidents::an_account_that_is_not_the_one_is_refused",
        &[("skip_account_check", "U1234567: Connected")],
    ),
    ("incidents::a_burst_of_orders_stays_under_the_limit", &[("skip_pacing", "paced > 0")]),
    (
        "incidents::lines_that_are_all_opened_anew_stay_under_the_limit",
        &[("skip_pacing", "came too fast")],
    ),
    (
        "incidents::a_line_whose_request_was_lost_is_asked_for_again",
        &[("wait_for_silent_lines", "a live line did not come")],
    ),
    (
        "incidents::an_order_of_the_brokers_screen_is_adopted_not_owned",
        &[("own_every_number", "right: (OrderId(0)")],
    ),
    (
        "nightly::a_disconnect_inside_the_reset_window_is_calm_in_it_and_escalated_after_it",
        &[
            ("ignore_downtime", "it is expected until forty past"),
            ("wait_for_lost_broker", "panicked"),
        ],
    ),
    (
        "nightly::a_client_id_in_use_at_the_nightly_restart_is_waited_for",
        &[("give_up_when_in_use", "every half minute"), ("ignore_downtime", "every half minute")],
    ),
];

/// Takes out what the environment names; in every process that starts a venue.
pub(super) fn take_out() {
    if let Ok(fault) = std::env::var(VARIABLE) {
        mutation::set(&fault);
    }
}

fn play(fault: &str, arguments: &[&str]) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(VARIABLE, fault)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn each_incident_fails_with_its_protection_taken_out() {
    let mut wrong = Vec::new();
    for (incident, faults) in INCIDENTS {
        for (fault, words) in *faults {
            let output = play(fault, &[&format!("{HERE}{incident}"), "--exact"]);
            let said = said(&output);
            let red = !output.status.success() && said.contains("1 failed");
            let found = said.lines().find(|line| line.contains(words)).map(str::trim);
            println!("{incident:84} {fault:26} {} {found:?}", if red { "red" } else { "GREEN" });
            if !red || found.is_none() {
                wrong.push(format!("{incident} without {fault}: {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn with_nothing_taken_out_every_incident_passes() {
    let files = FILES.map(|file| format!("{HERE}{file}"));
    let output = play("none", &files.each_ref().map(String::as_str));
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn every_incident_has_a_protection_that_is_taken_out() {
    let listed = said(&play("none", &["--list"]));
    let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    let tests = tests.filter_map(|name| name.strip_prefix(HERE));
    let incidents: BTreeSet<&str> =
        tests.filter(|name| FILES.iter().any(|file| name.starts_with(file))).collect();
    let covered: BTreeSet<&str> = INCIDENTS.iter().map(|(incident, _)| *incident).collect();
    assert_eq!(incidents, covered);
}
