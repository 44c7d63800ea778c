//! A simulated IB Gateway: the TWS socket protocol, both of its dialects, in front of `exchange`.
//!
//! Unmodified clients of Interactive Brokers connect to it. It conforms to the protocol as its
//! clients read it; it is a simulation and has never been compared with IB's own server. Read
//! `message` (what can be said), `wire` and `text` (how it is written), `world` (the machine: bytes
//! and time in, bytes out), `control` (faults and the broker's own screen), `server` (the only room
//! that touches sockets). Left to others: the market and the books (exchange), command line and
//! folders (the node).

mod bars;
mod catalog;
pub mod control;
mod history;
mod log_pace;
pub mod message;
mod news;
pub mod server;
mod stamp;
mod text;
mod ticket;
pub mod wire;
pub mod world;
