//! The broker: one seam, and what stands behind it. The seam speaks the words of `trading`; behind
//! it is the simulated broker, which alone knows `exchange`. (Interactive Brokers' adapter will
//! stand beside it and alone name its crate.) It decides no trade.

pub mod link;
pub mod port;
pub mod simulated;
mod sync;
pub mod wire_fence;
