//! What we want, ask for and get: intents, orders, fills, lifecycle events, the ledger, approvals,
//! denial codes and certificates. It knows no sockets, no limits and no prices but exact ones.

pub mod approval;
pub mod denial;
pub mod id;
pub mod intent;
pub mod ledger;
pub mod lifecycle;
pub mod order;
pub mod report;
pub mod trading_state;
