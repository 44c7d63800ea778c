//! The broker: one seam, and what stands behind it. The seam speaks the words of `trading`; behind
//! it are the simulated broker, which alone knows `exchange`, and the adapter to Interactive
//! Brokers, which alone names its crate. It decides no trade.

pub mod downtime;
#[cfg(not(loom))]
pub mod ib;
pub mod link;
pub mod port;
pub mod simulated;
pub mod sweep;
mod sync;
pub mod wire_fence;
