//! Numbers to value and Greeks: pure functions over slices of f64. Knows no instrument, no actor,
//! no clock and no other room.
//!
//! Years are years of 365 days (or whatever the caller counts, consistently), vols are annual and
//! absolute (0.20 is twenty per cent), rates are continuous and annual, `discount` is the value
//! now of one unit paid at expiry. Bad input is answered with a typed reason, never a panic.
//!
//! Read in this order: `lanes` (kernels and their rules), `normal` (tails), `black` (European
//! prices and Greeks), `implied` (price to vol), `american` and `dividends` (early exercise, cash
//! dividends), `exotics`, `monte_carlo` and `heston` (what is not listed; `error_class` says how
//! well), `parity` (forward and discount of an expiry), `smile` (fair vol of a quote judged by
//! the others), `essvi` (the surface), `svi` (a check on its slices), `arbitrage` (what a surface
//! must pass), `residual_field` and `fair_value` (what a quote is worth by the others, and the
//! edge), `variance_index` (model-free variance), `variance` (realised volatility).

pub mod american;
pub mod arbitrage;
pub mod black;
pub mod dividends;
pub mod error_class;
pub mod essvi;
pub mod exotics;
pub mod fair_value;
mod grid;
pub mod heston;
pub mod implied;
pub mod lanes;
pub mod monte_carlo;
pub mod normal;
mod normal_equations;
pub mod parity;
pub mod residual_field;
pub mod smile;
pub mod svi;
pub mod variance;
pub mod variance_index;
