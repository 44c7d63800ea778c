//! What is traded and what it costs now: time, money, ids, instruments, quotes, sessions, corporate
//! actions, data formats and quality gates. It knows no orders, no positions and no pricing model.

pub mod instrument;
pub mod money;
pub mod quote;
pub mod time;
