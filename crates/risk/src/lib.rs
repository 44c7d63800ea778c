//! What may be traded: exposure, limits, the gate that alone makes a cleared order, breakers, the
//! node's own margin estimate and the figures of the risk book.
//!
//! Everything is a pure function of positions, pending orders, market views and limits. It knows no
//! journal and no broker; the desk maps its evidence into records.

pub mod breaker;
pub mod cleared;
pub mod cognition;
mod collar;
pub mod evidence;
pub mod exposure;
mod figures;
pub mod gate;
pub mod limits;
pub mod margin;
mod order_rate;
pub mod readings;
mod reduction;
pub mod risk_book;
#[cfg(test)]
mod sample;
pub mod setting;
pub mod stress;
pub mod uncovered;
pub mod valuing;
pub mod worst_case;
