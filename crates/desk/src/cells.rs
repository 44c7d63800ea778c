//! Which cells of the order table were entered, counted for a campaign that wants to know. Only
//! with the feature `cells`, which no shipped build has; otherwise [`enter`] is empty.

use crate::order_state::{OrderEvent, OrderState};
#[cfg(feature = "cells")]
use std::sync::atomic::{AtomicU64, Ordering};

/// By state and event, in the order of their declarations; of the whole process.
#[cfg(feature = "cells")]
static ENTERED: [[AtomicU64; OrderEvent::ALL.len()]; OrderState::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; OrderEvent::ALL.len()] }; OrderState::ALL.len()];

/// An event has met an order in this state.
#[cfg(feature = "cells")]
pub fn enter(state: OrderState, event: OrderEvent) {
    ENTERED[state as usize][event as usize].fetch_add(1, Ordering::Relaxed);
}

/// An event has met an order in this state.
#[cfg(not(feature = "cells"))]
pub const fn enter(_state: OrderState, _event: OrderEvent) {}

/// How often an event has met an order in this state, in this process.
#[cfg(feature = "cells")]
#[must_use]
pub fn entered(state: OrderState, event: OrderEvent) -> u64 {
    ENTERED[state as usize][event as usize].load(Ordering::Relaxed)
}
