//! Strategies: machines that turn market views into wishes, and the tomes that describe them.
//!
//! A strategy never sends an order: it emits intents (target positions with a limit), and the desk
//! nets, gates and sends. Read in this order: `strategy` (the seam), `tome` (the files), `seat`
//! (what every built-in has), then the built-ins; `caretaker` looks after what a quarantined one
//! holds.

pub mod builtin;
mod campaign;
pub mod caretaker;
pub mod certificate;
mod credit_spread;
#[cfg(test)]
mod fixture;
mod gamma_scalper;
mod hedging;
mod intents;
mod limit;
mod product;
#[cfg(test)]
mod properties;
mod seat;
pub mod strategy;
pub mod tome;
