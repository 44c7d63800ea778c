//! What people see: tables, the live status line, the progress bar, colour where it is wanted.
//!
//! Data goes to stdout and everything else to stderr, so that a pipe gets data only. Colour and
//! moving lines appear on a terminal only, and never with `NO_COLOR` or `TERM=dumb`.

mod tables;

pub use tables::{faults, orders, positions, reconciliation, snapshots, status, surfaces, tree};

use crate::control::StatusView;
use crate::failure::Failure;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Colour or plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// As stdout wants it.
    #[must_use]
    pub fn for_stdout() -> Self {
        Self(io::stdout().is_terminal() && colour_is_wanted())
    }

    /// As stderr wants it.
    #[must_use]
    pub fn for_stderr() -> Self {
        Self(io::stderr().is_terminal() && colour_is_wanted())
    }

    /// Never.
    pub const PLAIN: Self = Self(false);

    /// Whether there is colour.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.0
    }

    fn word(self, word: &str, shown: &str) -> String {
        match (self.0, colour_of(word)) {
            (true, Some(code)) => format!("\x1b[{code}m{shown}\x1b[0m"),
            (true | false, _) => shown.to_owned(),
        }
    }
}

/// The colour of a word of state: good, passing, bad.
fn colour_of(word: &str) -> Option<&'static str> {
    match word {
        "ready" | "active" | "yes" => Some("32"),
        "starting" | "running" | "stopping" | "backoff" | "reduce_only" | "connecting"
        | "settling" | "reconciling" | "degraded" | "unknown" => Some("33"),
        "failed" | "quarantined" | "halted" | "down" | "needs_human" | "no" => Some("31"),
        _ => None,
    }
}

/// <https://no-color.org>: set and not empty means no colour.
fn colour_is_wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Prints a result to stdout. A reader that has gone away is no failure.
///
/// # Errors
/// Stdout can't be written, for example because a disk is full.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    match write!(stdout, "{text}{end}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::internal("the result could not be written to stdout").because(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints a result as one line of JSON.
///
/// # Errors
/// As [`print`].
pub fn print_json(result: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(result)
        .map_err(|error| Failure::internal("the result has no JSON form").because(error))?;
    print(&text)
}

/// The one line that `run` keeps up to date on a terminal.
#[derive(Debug)]
pub struct StatusLine {
    shown: bool,
    paint: Paint,
}

impl StatusLine {
    /// A line on stderr if that is a terminal and talk is wanted; otherwise nothing is ever shown.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { shown: !quiet && io::stderr().is_terminal(), paint: Paint::for_stderr() }
    }

    /// Whether anything is shown, and so whether to ask for a status at all.
    #[must_use]
    pub const fn is_shown(&self) -> bool {
        self.shown
    }

    /// Replaces the line.
    pub fn update(&self, status: &StatusView) {
        if self.shown {
            // Return, text, clear to the end: a shorter line leaves nothing behind.
            eprint!("\r{}\x1b[K", status_line(status, self.paint));
        }
    }

    /// Ends the line so that what follows begins on a new one.
    pub fn finish(&self) {
        if self.shown {
            eprintln!();
        }
    }
}

fn status_line(status: &StatusView, paint: Paint) -> String {
    let ready = if status.ready { "ready" } else { "not ready" };
    let unrealised = status.pnl.unrealised.as_deref().unwrap_or("?");
    let mut line = format!(
        "{} {} link {} | orders {} positions {} fills {} | realised {} unrealised {unrealised} \
         fees {} | seq {}",
        paint.word(if status.ready { "ready" } else { "starting" }, ready),
        paint.word(&status.trading_state, &status.trading_state),
        paint.word(&status.broker_link, &status.broker_link),
        status.open_orders,
        status.positions,
        status.fills,
        status.pnl.realised,
        status.pnl.fees,
        status.journal_seq,
    );
    if status.violations > 0 {
        let text = format!(" | {} VIOLATIONS", status.violations);
        line.push_str(&paint.word("failed", &text));
    }
    line
}

/// The progress of a replay over `quotes` quotes; invisible where it would not be seen or is not
/// wanted.
#[must_use]
pub fn replay_progress(quotes: u64, quiet: bool) -> ProgressBar {
    let shown = !quiet && io::stderr().is_terminal();
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(quotes), target);
    let template = "{bar:30} {percent:>3} %  {human_pos} quotes  {per_sec}  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_is_one_line_and_shouts_only_about_violations() {
        let mut status = StatusView {
            ready: true,
            trading_state: "active".into(),
            broker_link: "ready".into(),
            fills: 3,
            ..StatusView::default()
        };
        let line = status_line(&status, Paint::PLAIN);
        assert!(
            line.starts_with("ready active link ready | orders 0 positions 0 fills 3"),
            "{line}"
        );
        assert!(!line.contains('\n') && !line.contains("VIOLATIONS") && !line.contains('\x1b'));
        status.violations = 2;
        assert!(status_line(&status, Paint::PLAIN).ends_with("| 2 VIOLATIONS"));
        assert!(status_line(&status, Paint(true)).contains("\x1b[31m"));
    }
}
