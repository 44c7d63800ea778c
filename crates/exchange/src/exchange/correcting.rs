//! Corrections: an execution's price changes afterwards.
//!
//! As IB does it: the execution is reported again under the same identity but for the last group,
//! which counts its revisions; the latest stands for all before it. Fees stay.

use super::Exchange;
use crate::books::BookChange;
use crate::report::{Execution, Report};
use market::money::Price;
use market::time::Timestamp;

impl Exchange {
    /// Corrects the price of an execution and reports it to its client anew. `None` if there is no
    /// such execution.
    pub fn correct_execution(
        &mut self,
        exec_id: &str,
        price: Price,
        at: Timestamp,
    ) -> Option<Execution> {
        let found = self.books.executions.iter().find(|one| one.exec_id == exec_id)?;
        let mut corrected = found.clone();
        corrected.exec_id = next_revision(exec_id)?;
        corrected.price = price;
        // The profit of a corrected close is the position's to tell.
        corrected.realised = None;
        let client = self.client_of(corrected.perm_id);
        self.commit(BookChange::Corrected {
            exec_id: exec_id.to_owned(),
            execution: Box::new(corrected.clone()),
        });
        self.report_to(client, Report::Executed(corrected.clone()), at);
        let (exec_id, amount, currency) =
            (corrected.exec_id.clone(), corrected.fee, corrected.currency);
        self.report_to(client, Report::Fee { exec_id, amount, currency }, at);
        Some(corrected)
    }

    /// Whose an order is or was.
    #[must_use]
    pub fn client_of(&self, perm_id: i64) -> i32 {
        let open = self.books.open.get(&perm_id).map(|order| order.instructions.client);
        let ended = || {
            let mut completed = self.books.completed.iter().rev();
            completed.find(|order| order.perm_id == perm_id).map(|order| order.client)
        };
        open.or_else(ended).unwrap_or(0)
    }
}

/// The identity of the next revision: the last group counts up.
fn next_revision(exec_id: &str) -> Option<String> {
    let (stem, revision) = exec_id.rsplit_once('.')?;
    let revision: u32 = revision.parse().ok()?;
    Some(format!("{stem}.{:02}", revision + 1))
}
