//! How a command fails: what, why, what to do next, and the exit code that scripts read.
//!
//! Data goes to stdout, failures to stderr; `--json` makes them one object. Errors of the crates
//! are turned into failures where a command calls them; there is nothing to catch elsewhere.

use serde::Serialize;
use std::fmt;
use std::process::ExitCode;

/// The exit codes, those of `sysexits.h` where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command line can't be meant.
    Usage,
    /// There is no node at the address.
    Unreachable,
    /// The node failed, or halted on an error.
    Internal,
    /// A configuration file is wrong.
    Configuration,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Unreachable => 69,
            Self::Internal => 70,
            Self::Configuration => 78,
        }
    }
}

/// A failed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The class, for scripts.
    pub exit: Exit,
    /// What could not be done.
    pub what: String,
    /// Why, as the cause says it; empty if `what` says it all.
    pub why: String,
    /// What the user can do.
    pub next: String,
}

#[derive(Serialize)]
struct Shown<'a> {
    error: &'a str,
    why: &'a str,
    next: &'a str,
    exit_code: u8,
}

impl Failure {
    /// A failure of this class; say what could not be done.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), why: String::new(), next: String::new() }
    }

    /// A command line that can't be meant.
    #[must_use]
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// A failure of the node or of this program.
    #[must_use]
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(Exit::Internal, what)
    }

    /// With the cause.
    #[must_use]
    pub fn because(mut self, why: impl fmt::Display) -> Self {
        self.why = why.to_string();
        self
    }

    /// With the next step.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// The text for stderr: lines for people, or one JSON object.
    #[must_use]
    pub fn render(&self, json: bool) -> String {
        if json {
            let shown = Shown {
                error: &self.what,
                why: &self.why,
                next: &self.next,
                exit_code: self.exit.code(),
            };
            return serde_json::to_string(&shown).expect("texts and a number encode");
        }
        let mut text = format!("error: {}", self.what);
        for (label, line) in [("why", &self.why), ("next", &self.next)] {
            if !line.is_empty() {
                text.push_str(&format!("\n  {label}: {line}"));
            }
        }
        text
    }

    /// Prints it to stderr and gives the exit code.
    #[must_use]
    pub fn report(&self, json: bool) -> ExitCode {
        eprintln!("{}", self.render(json));
        ExitCode::from(self.exit.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let failure = Failure::new(Exit::Unreachable, "no node at 127.0.0.1:7400")
            .because("connection refused")
            .next("start one with `optionsib run`");
        assert_eq!(
            failure.render(false),
            "error: no node at 127.0.0.1:7400\n  why: connection refused\n  \
             next: start one with `optionsib run`"
        );
        let json: serde_json::Value = serde_json::from_str(&failure.render(true)).unwrap();
        assert_eq!(json["exit_code"], 69);
        assert_eq!(json["error"], "no node at 127.0.0.1:7400");
    }

    #[test]
    fn exit_codes_are_those_of_the_manual() {
        let codes = [Exit::Usage, Exit::Unreachable, Exit::Internal, Exit::Configuration];
        assert_eq!(codes.map(Exit::code), [2, 69, 70, 78]);
    }
}
