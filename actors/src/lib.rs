//! Who runs each machine, who restarts it, in what order; one role per file; no arithmetic.
//!
//! `runtime` hosts, supervises and addresses roles and knows nothing of trading; the roles beside
//! it are shells around the machines of `crates/` and decide nothing themselves. They know each
//! other's words (`messages`), not each other. Read in the order in which a quote becomes an order:
//! feed, pricing, strategy, desk, session.

pub mod runtime;

pub mod aftermath;
pub mod auditor;
pub mod book_keeper;
pub mod breaker;
pub mod calendar;
pub mod caretaker;
pub mod desk;
mod desk_answers;
pub mod feed;
pub mod journal;
pub mod kill_switch;
pub mod layers;
pub mod lines;
pub mod messages;
pub mod meters;
pub mod node;
pub mod order_steps;
pub mod pricing;
pub mod reconciler;
pub mod record_metrics;
pub mod risk;
pub mod session;
pub mod snapshots;
pub mod strategy;
pub mod venue;
pub mod views;
