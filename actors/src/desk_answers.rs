//! The desk's answers in the words of strategies: the two rooms don't know each other.

use desk::desk::{IntentOutcome, LiveOrder};
use strategy::strategy::{LiveIntent, Outcome};

/// What the desk says of a live order, as strategies are told it.
pub(crate) fn in_words_of_strategies(order: LiveOrder) -> LiveIntent {
    let LiveOrder { key, target, remaining, unknown } = order;
    LiveIntent { key, target, remaining, unknown }
}

/// What the desk says of an intent, as strategies are told it.
pub(crate) fn outcome_in_words_of_strategies(outcome: IntentOutcome) -> Outcome {
    match outcome {
        IntentOutcome::Accepted { order_id } => Outcome::Accepted { order_id },
        IntentOutcome::Satisfied => Outcome::Satisfied,
        IntentOutcome::Denied(denial) => Outcome::Denied(denial),
        IntentOutcome::Ended { end, filled } => Outcome::Ended { end, filled },
        IntentOutcome::Abandoned => Outcome::Abandoned,
    }
}
