//! Promise: `optionsib surface` fits a recorded moment, says what it found, and draws it.
//!
//! A small recording in LEAN's format is made of a known smile, so that the answer is known too.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use pricing::black::{ForwardContract, OptionKind};
use pricing::essvi::Slice;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use valuation::early_exercise::{ExerciseTerms, premium};

const SPOT: f64 = 750.0;
const RATE: f64 = 0.01;

fn optionsib(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_optionsib"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("OPTIONSIB_LOG")
        .output()
        .expect("the binary was built for this test")
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write_zip(path: &Path, entries: &[(String, String)]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, content) in entries {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

/// The smile of an expiry: 25 % at the money.
fn slice(years: f64) -> Slice {
    Slice { theta: 0.0625 * years, rho: -0.4, psi: 0.3 * years.sqrt() * 0.5 }
}

/// One minute at 10:29 of two expiries with 17 strikes each, five cents to either side.
fn recording(root: &Path) {
    let scaled = |price: f64| (price * 10_000.0).round() as i64;
    let mut entries = Vec::new();
    for (expiry, days) in [("20160115", 22.1), ("20160318", 85.1)] {
        let years: f64 = days / 365.0;
        let forward = SPOT * (RATE * years).exp();
        for step in 0..17 {
            let strike = 670.0 + 10.0 * f64::from(step);
            for kind in [OptionKind::Call, OptionKind::Put] {
                let variance = slice(years).total_variance((strike / forward).ln());
                let vol = (variance / years).sqrt();
                let discount = (-RATE * years).exp();
                let contract = ForwardContract { forward, strike, years, vol, discount, kind };
                let exercise = premium(&ExerciseTerms {
                    spot: Some(SPOT),
                    dividends: &[],
                    years,
                    forward,
                    forward_error: 0.0,
                    discount,
                    strike,
                    kind,
                    vol,
                });
                let price = contract.price_and_greeks().unwrap().price + exercise;
                let (bid, ask) = (scaled((price - 0.05).max(0.01)), scaled(price + 0.05));
                let right = if kind.is_call() { "call" } else { "put" };
                entries.push((
                    format!(
                        "20151224_goog_minute_quote_american_{right}_{}_{expiry}.csv",
                        scaled(strike)
                    ),
                    format!("37740000,1,1,1,{bid},9,1,1,1,{ask},9\n"),
                ));
            }
        }
    }
    write_zip(&root.join("option/usa/minute/goog/20151224_quote_american.zip"), &entries);
    let (bid, ask) = (scaled(SPOT - 0.01), scaled(SPOT + 0.01));
    let stock = format!("37740000,1,1,1,{bid},200,1,1,1,{ask},100\n");
    write_zip(
        &root.join("equity/usa/minute/goog/20151224_quote.zip"),
        &[("20151224_goog_minute_quote.csv".to_owned(), stock)],
    );
}

#[test]
fn a_known_smile_comes_back_with_its_tests_and_its_plot() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let moment = ["surface", ".", "--date", "2015-12-24", "--at", "10:30"];
    let json = [&moment[..], &["--json", "--svg", "plot.svg"]].concat();
    let output = optionsib(&json, folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["symbol"], "GOOG");
    let expiries = report["expiries"].as_array().unwrap();
    assert_eq!(expiries.len(), 2);
    for expiry in expiries {
        let fit = &expiry["surface"];
        let vol = fit["at_the_money_vol"].as_f64().unwrap();
        assert!((vol - 0.25).abs() < 0.002, "{expiry}");
        let forward = SPOT * (RATE * expiry["years"].as_f64().unwrap()).exp();
        assert!((expiry["forward"].as_f64().unwrap() - forward).abs() < 0.3, "{expiry}");
        assert!(fit["fair_inside"].as_f64().unwrap() > 0.9, "{expiry}");
    }
    assert!(report["arbitrage"]["density_least"].as_f64().unwrap() > 0.0);
    let svg = fs::read_to_string(folder.path().join("plot.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("2016-01-15") && svg.contains("total variance"));

    let text = optionsib(&moment, folder.path());
    assert_eq!(text.status.code(), Some(0));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("arbitrage: none"), "{text}");
}

#[test]
fn what_can_not_be_fitted_says_why() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let ask =
        |at: &str| optionsib(&["surface", ".", "--date", "2015-12-24", "--at", at], folder.path());
    for (at, code, part) in [
        ("16:00", 2, "does not trade"),
        ("09:45", 2, "nothing was quoted"),
        ("25:00", 2, "is not a time of day"),
        ("noon", 2, "is not a time of day"),
    ] {
        let output = ask(at);
        assert_eq!(output.status.code(), Some(code), "{at}: {}", err(&output));
        assert!(err(&output).contains(part), "{at}: {}", err(&output));
        assert!(output.stdout.is_empty());
    }
    let output =
        optionsib(&["surface", "nowhere", "--date", "2015-12-24", "--at", "10:30"], folder.path());
    assert_eq!(output.status.code(), Some(70), "{}", err(&output));
    let unwritable = ["surface", ".", "--date", "2015-12-24", "--at", "10:30", "--svg", "no/a.svg"];
    let output = optionsib(&unwritable, folder.path());
    assert_eq!(output.status.code(), Some(70), "{}", err(&output));
    assert!(err(&output).contains("no/a.svg"));
}
