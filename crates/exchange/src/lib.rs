//! A simulated exchange and broker for one account: books, matching, fees, margin, expiry,
//! exercise, assignment, dividends, and a seeded market to trade on. Pure: inputs in, reports out;
//! the host brings the time and the disk.
//!
//! It is written in its own words and shares no money or fee code with `trading`, because it is the
//! other side that the node's books are checked against. Read `report` (what it says), `exchange`
//! (the machine), `books` (its ledger), `builtin` and `recorded` (where quotes come from).

pub mod book_file;
pub mod books;
pub mod builtin;
pub mod day;
pub mod exchange;
pub mod fees;
pub mod greeks;
pub mod margin;
mod market_step;
pub mod order;
pub mod random;
pub mod recorded;
pub mod report;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod ten_trade_day;

pub use books::{BookChange, BookError, Books, Position};
pub use exchange::{AssignmentRule, Exchange, ExchangeConfig};
pub use market_step::MarketStep;
pub use order::{
    CompletedOrder, EndState, GroupRule, Instructions, NewOrder, OpenOrder, OrderGroup, OrderKind,
    Request, Stage, Ticket, TimeInForce,
};
pub use recorded::MarketSource;
pub use report::{ComboExecution, Delivery, Event, EventKind, Execution, Report};
