//! The adapter to Interactive Brokers: both ports over its socket protocol, by the crate `ibapi`,
//! which nothing outside this room names.
//!
//! Two clients, each with its own id, thread and runtime: `orders` is one generation of the order
//! connection, `data` keeps the lines of market data. The crate's own reconnect and rate
//! limiter are off: a connection that breaks is over, and what its death means is the link's
//! business. What can be decided without a socket is pure and beside them: `translate` (whole
//! values), `tracker` (which of the broker's repetitions is news), `errors` (what a code asks for),
//! `pacing`, `lines`, `contracts`, `futures`. It was only ever run against the simulated gateway.

pub mod contracts;
mod data;
pub mod errors;
pub mod futures;
pub mod lines;
mod orders;
pub mod pacing;
mod settings;
mod sweep_client;
#[cfg(test)]
mod tests;
mod tracker;
pub mod translate;

pub use data::{ContractsError, IbDataPort};
pub use orders::{Gateway, IbOrderPort, Pace};
pub use settings::{AccountError, Environment, IbSettings, check_account};
pub use sweep_client::{Open, SweepClient};
