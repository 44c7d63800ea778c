//! Numbers to value and Greeks: pure functions over slices of f64. Knows no instrument, no actor,
//! no clock and no other room.
//!
//! Years are years of 365 days (or whatever the caller counts, consistently), vols are annual and
//! absolute (0.20 is twenty per cent), rates are continuous and annual, `discount` is the value
//! now of one unit paid at expiry. Bad input is answered with a typed reason, never a panic.
//!
//! Read in this order: `lanes` (kernels and their rules), `normal` (tails), `black` (European
//! prices and Greeks), `implied` (price to vol), `american` (boundaries, prices, Greeks, vols),
//! `dividends` (cash dividends), `grid` (the last resort), `parity` (forward and discount of an
//! expiry), `smile` (fair vol of a quote judged by the others), `variance` (realised volatility).

pub mod american;
pub mod black;
pub mod dividends;
mod grid;
pub mod implied;
pub mod lanes;
pub mod normal;
pub mod parity;
pub mod smile;
pub mod variance;
