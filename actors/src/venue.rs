//! Drives the simulated venue through time. It stands outside the tree: no kill of a role ends it.
//!
//! Not here: what the venue does (broker, exchange).

use crate::runtime::clock::Clock;
use broker::simulated::{SimulatedVenue, VenueError};
use market::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Under a clock that says nothing of the future the venue is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Lets the venue happen as its clock says, until `until` or until it falls silent for good.
///
/// # Errors
/// When the venue can't write its books.
pub async fn drive(
    venue: Arc<SimulatedVenue>,
    clock: Clock,
    until: Timestamp,
) -> Result<(), VenueError> {
    let requested = Arc::new(Notify::new());
    let notify = Arc::clone(&requested);
    venue.on_request(Arc::new(move || notify.notify_one()));
    loop {
        let now = clock.now().market;
        venue.advance(now)?;
        if now >= until {
            return Ok(());
        }
        let due = venue.next_time().map_or(until, |at| at.min(until));
        // A request that arrives while we wait is due a latency later: then we look again.
        let wait = clock.until_market(due).unwrap_or(LOOK_EVERY);
        tokio::select! {
            biased;
            () = requested.notified() => {}
            () = clock.sleep(wait) => {}
        }
    }
}
