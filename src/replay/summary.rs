//! A day report for a person's eye.

use chaos::report::DayReport;
use std::fmt::Write;

/// The report in lines.
#[must_use]
pub fn text(report: &DayReport) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    line(format_args!("{} of {}", report.day, report.source));
    line(format_args!("priced {}", report.pricing));
    line(format_args!(
        "{} quotes in {:.2} s, {:.0} a second; {:.1} % of fresh option quotes have their own vol",
        report.quotes,
        report.wall_s,
        report.quotes_per_s,
        report.implied_vol_share * 100.0
    ));
    line(format_args!(
        "{} intents: {} approved, {} denied; {} orders, {} fills",
        report.intents,
        report.approved,
        report.denied.values().sum::<u64>(),
        report.orders,
        report.fills
    ));
    for (code, count) in &report.denied {
        line(format_args!("  denied {code}: {count}"));
    }
    for (strategy, count) in &report.fills_by_strategy {
        line(format_args!("  {strategy}: {count} fills"));
    }
    line(format_args!(
        "cash {}, fees {}, realised {}, unrealised {}",
        report.pnl.cash,
        report.pnl.fees,
        report.pnl.realised,
        report.pnl.unrealised.as_deref().unwrap_or("not known")
    ));
    for position in &report.positions {
        line(format_args!(
            "  {:>6} {} ({})",
            position.quantity, position.contract, position.strategy
        ));
    }
    if !report.kills.is_empty() {
        line(format_args!(
            "{} kills of {} roles in {} lives, {:.0} % with an intent on its way; {} restarts",
            report.kills.values().sum::<u32>(),
            report.kills.len(),
            report.lives,
            f64::from(report.kills_in_flight_permille) / 10.0,
            report.restarts
        ));
        for (role, steps) in &report.kill_matrix {
            let cells: Vec<String> =
                steps.iter().map(|(step, count)| format!("{step} {count}")).collect();
            line(format_args!("  {role}: {}", cells.join(", ")));
        }
    }
    let checks: Vec<String> =
        report.checks.iter().map(|(name, count)| format!("{name} {count}")).collect();
    line(format_args!("checks: {}", checks.join(", ")));
    line(format_args!("violations: {}", report.violations));
    for violation in &report.violated {
        line(format_args!("  {}: {}", violation.invariant, violation.sentence));
    }
    for alarm in &report.alarms {
        line(format_args!("alarm: {alarm}"));
    }
    line(format_args!("journal {} state {}", report.journal_seq, report.state_hash));
    out
}
