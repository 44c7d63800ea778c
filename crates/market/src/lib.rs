//! What is traded and what it costs now: time, money, ids, instruments, quotes, sessions, corporate
//! actions, data formats and quality gates. It knows no orders, no positions and no pricing model.

pub mod calendar;
pub mod corporate_action;
pub mod instrument;
pub mod lean;
pub mod money;
pub mod quality;
pub mod quote;
pub mod session;
pub mod standing;
pub mod time;
