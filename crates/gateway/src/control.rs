//! Commands from outside the protocol: faults, and what happens on the broker's own screen.
//!
//! One JSON object a line on the control port; each is answered by one line. A fault acts on the
//! connection of one client or of all, on one kind of message or on all, so often as it says.

use crate::message::{Request, Response};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The furthest that the market's clock moves at once: the gateway works off every step of it.
const FURTHEST: Duration = Duration::from_secs(31 * 86_400);

/// What a rule does to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// It never arrives.
    Drop,
    /// It arrives twice.
    Duplicate,
    /// It arrives later; messages after it overtake it.
    Delay {
        /// By so much, of process time.
        milliseconds: u64,
    },
    /// It arrives after the message that follows it.
    Reorder,
    /// Its body's last byte is turned around; its length stays right.
    Corrupt,
}

/// Which way a message travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the gateway to the client.
    #[default]
    Responses,
    /// From the client to the gateway; only dropping acts here.
    Requests,
}

/// A fault on messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whose; all clients if absent.
    #[serde(default)]
    pub client: Option<i32>,
    /// The message's name, such as `OrderStatus` or `PlaceOrder`; all if absent.
    #[serde(default)]
    pub message: Option<String>,
    /// Which way.
    #[serde(default)]
    pub direction: Direction,
    /// What happens to it.
    pub action: Action,
    /// So often; then the rule is gone.
    #[serde(default = "once")]
    pub count: u32,
}

impl Rule {
    /// Whether it can ever act, and as it says: a misspelt name would wait for ever.
    ///
    /// # Errors
    /// In words, when it can't.
    pub fn check(&self) -> Result<(), String> {
        if self.count == 0 {
            return Err("a fault that acts 0 times is none".to_owned());
        }
        if self.direction == Direction::Requests && self.action != Action::Drop {
            return Err("requests can only be dropped".to_owned());
        }
        let Some(wanted) = &self.message else { return Ok(()) };
        let (own, word, others, other) = match self.direction {
            Direction::Responses => (Response::NAMES, "responses", Request::NAMES, "requests"),
            Direction::Requests => (Request::NAMES, "requests", Response::NAMES, "responses"),
        };
        if own.contains(&wanted.as_str()) {
            return Ok(());
        }
        if others.contains(&wanted.as_str()) {
            return Err(format!("`{wanted}` is of the direction `{other}`, not `{word}`"));
        }
        Err(format!("none of the {word} is called `{wanted}`; they are {}", own.join(", ")))
    }
}

const fn once() -> u32 {
    1
}

/// One command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Closes the connections of a client, or all.
    Close {
        /// Whose.
        #[serde(default)]
        client: Option<i32>,
    },
    /// Neither reads from nor writes to the connections of a client, or all, any more; the sockets
    /// stay.
    HalfOpen {
        /// Whose.
        #[serde(default)]
        client: Option<i32>,
    },
    /// A fault on messages.
    Fault(Rule),
    /// Tells all clients a notice, and does what it says: 1100 loses the broker (orders work on,
    /// nothing is heard, requests about orders are lost), 1101 brings it back without lines, 1102
    /// with them; 2103 and 2105 lose the farms of lines and history, 2104 and 2106 bring them back;
    /// 10197 takes the lines away for another session until 2104.
    Notice {
        /// The code.
        code: i32,
    },
    /// Answers the next session of this client id with 326.
    RefuseClient {
        /// The id.
        client: i32,
    },
    /// Tells this as the next order id, once, at the next start or request.
    NextValidId {
        /// Whose.
        client: i32,
        /// The number.
        value: i32,
    },
    /// Whether lines are live; otherwise delayed ones may be asked for.
    Entitle {
        /// Live.
        live: bool,
    },
    /// An order entered on the broker's own screen.
    Manual {
        /// The instrument.
        con_id: u32,
        /// `BUY` or `SELL`.
        action: String,
        /// Units.
        quantity: u32,
        /// Its limit; a market order without.
        #[serde(default)]
        limit: Option<f64>,
    },
    /// Corrects the price of an execution.
    Correct {
        /// Its identity so far.
        exec_id: String,
        /// The right price.
        price: f64,
    },
    /// A bulletin.
    Bulletin {
        /// Its text.
        text: String,
    },
    /// Moves the market's clock on; the host does so before the machine sees the command.
    Advance {
        /// By so much.
        milliseconds: u64,
    },
    /// Restarts as once a day: every client is closed, and none let in for so long, in market time.
    Restart {
        /// How long.
        milliseconds: u64,
    },
    /// Asks how things stand.
    Status,
    /// Lifts every fault.
    Clear,
}

impl Command {
    /// How far it moves the market's clock.
    ///
    /// # Errors
    /// In words, when that is too far.
    pub fn moves_clock(&self) -> Result<Duration, String> {
        let Self::Advance { milliseconds } = self else { return Ok(Duration::ZERO) };
        let by = Duration::from_millis(*milliseconds);
        if by <= FURTHEST {
            return Ok(by);
        }
        Err(format!("the clock moves on by {} days at most", FURTHEST.as_secs() / 86_400))
    }
}

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Clients with a session.
    pub clients: Vec<i32>,
    /// Working orders.
    pub working_orders: usize,
    /// Executions so far.
    pub executions: usize,
    /// Open lines of market data.
    pub lines: usize,
    /// The market's time, nanoseconds since the epoch.
    pub market_nanos: i64,
    /// The broker can't be reached.
    pub outage: bool,
    /// Messages that were not served, since they came too fast (100).
    #[serde(default)]
    pub too_fast: u64,
    /// Nobody is let in: it restarts.
    #[serde(default)]
    pub restarting: bool,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done.
    Done(Status),
    /// Not done, and why.
    Refused(String),
}
