//! The numbers of the journal's records, frozen: journals outlive the code that wrote them.

use crate::tables::record_kinds;
use crate::tree::{expect_findings, expect_none, file};

/// Every number ever given, one `number name` per line.
const FROZEN: &str = include_str!("journal_kinds.txt");

fn findings(frozen: &str, declared: &[(String, String)]) -> Vec<String> {
    let frozen: Vec<(&str, &str)> =
        frozen.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut findings = Vec::new();
    for (number, name) in &frozen {
        if !declared.iter().any(|(at, called)| at == number && called == name) {
            findings.push(format!(
                "record {number} was {name}; restore it, a number is never reused, renamed or lost"
            ));
        }
    }
    for (number, name) in declared {
        if !frozen.contains(&(number.as_str(), name.as_str())) {
            let known = frozen.iter().any(|(at, called)| at == number || called == name);
            let fix = if known {
                "give it the next free number and name"
            } else {
                "append it to tests/tidy/journal_kinds.txt"
            };
            findings.push(format!("record {number} {name} is not frozen; {fix}"));
        }
    }
    findings
}

#[test]
fn the_numbers_of_records_never_change() {
    expect_none(&findings(FROZEN, &record_kinds(file("crates/desk/src/record.rs"))));
}

#[test]
fn the_rule_about_record_numbers_finds_bad_samples() {
    let kinds = |rows: &[(&str, &str)]| -> Vec<(String, String)> {
        rows.iter().map(|(number, name)| ((*number).into(), (*name).into())).collect()
    };
    let frozen = "1 Started\n2 Sent\n";
    expect_none(&findings(frozen, &kinds(&[("1", "Started"), ("2", "Sent")])));
    expect_findings(&findings(frozen, &kinds(&[("1", "Started")])), &["2 was Sent"]);
    let added = kinds(&[("1", "Started"), ("2", "Sent"), ("3", "Ended")]);
    expect_findings(&findings(frozen, &added), &["append it"]);
    let reused = kinds(&[("1", "Started"), ("2", "Ended")]);
    expect_findings(&findings(frozen, &reused), &["2 was Sent", "next free"]);
}
