//! What `panic` has done, in words and as JSON, and whether that is enough.

use crate::failure::Failure;
use broker::sweep::{Ending, Outcome, Sweep, SweptOrder};
use serde::Serialize;

/// What was done.
#[derive(Debug, Default, Serialize)]
pub struct PanicReport {
    /// Canceled, with what they had filled before.
    canceled: Vec<Ended>,
    /// Filled before the cancel came.
    filled: Vec<Ended>,
    /// References of orders that work no more, the broker didn't say how they ended.
    gone: Vec<String>,
    /// Own orders that still work, as far as anybody knows.
    remaining: Vec<Remaining>,
    /// Working orders that are not ours.
    others: usize,
    /// Nothing more of ours could be canceled, by two answers in a row.
    confirmed: bool,
    /// Connections that it took.
    connections: u32,
    /// What last went wrong on the way.
    trouble: Option<String>,
}

#[derive(Debug, Serialize)]
struct Ended {
    reference: String,
    filled: f64,
}

#[derive(Debug, Serialize)]
struct Remaining {
    reference: String,
    why: String,
}

impl PanicReport {
    /// Of a sweep under this client id.
    pub fn of(sweep: &Sweep, own_client: i32) -> Self {
        let mut report = Self {
            others: sweep.others(),
            confirmed: sweep.is_confirmed(),
            connections: sweep.connections(),
            trouble: sweep.trouble().map(str::to_owned),
            ..Self::default()
        };
        for SweptOrder { order, outcome, .. } in sweep.orders() {
            let reference = order.reference.clone();
            match outcome {
                Outcome::Works => {
                    let why = match order.client {
                        client if client == own_client => "its cancel has had no effect".to_owned(),
                        client => {
                            format!("client {client} placed it, run with --client-id {client}")
                        }
                    };
                    report.remaining.push(Remaining { reference, why });
                }
                Outcome::Gone => report.gone.push(reference),
                Outcome::Ended(Ending::Canceled, filled) => {
                    report.canceled.push(Ended { reference, filled: *filled });
                }
                Outcome::Ended(Ending::Filled, filled) => {
                    report.filled.push(Ended { reference, filled: *filled });
                }
            }
        }
        report
    }

    /// One line for people.
    pub fn text(&self) -> String {
        let partly = self.canceled.iter().filter(|one| one.filled > 0.0).count();
        format!(
            "own orders: {} canceled ({partly} of them partly filled), {} filled before, {} ended \
             otherwise, {} still work; {} of others untouched",
            self.canceled.len(),
            self.filled.len(),
            self.gone.len(),
            self.remaining.len(),
            self.others
        )
    }

    /// Whether nothing of ours is left, surely.
    ///
    /// # Errors
    /// Orders that still work, or an end that the broker has not confirmed.
    pub fn verdict(&self) -> Result<(), Failure> {
        const NEXT: &str = "run it again, and cancel them on the broker's own screen";
        if !self.remaining.is_empty() {
            let each = self.remaining.iter();
            let each: Vec<String> =
                each.map(|one| format!("{} ({})", one.reference, one.why)).collect();
            return Err(Failure::internal(format!("{} own orders still work", each.len()))
                .because(each.join(", "))
                .next(NEXT));
        }
        if self.confirmed {
            return Ok(());
        }
        let why = self.trouble.as_deref().unwrap_or("the broker did not say it twice");
        Err(Failure::internal("own orders may still work").because(why).next(NEXT))
    }
}
