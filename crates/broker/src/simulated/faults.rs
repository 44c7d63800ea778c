//! Faults of the order connection, on demand: what a socket, a gateway and the broker behind it do
//! to a client, as behaviours of the venue.
//!
//! A fault is armed for a [`Moment`] and strikes there once; times are the venue's, so a seeded
//! schedule of them is the same on every machine. What belongs to the connection (silence, held
//! reports) ends with it; what belongs to the gateway (an outage, requests on their way, refused
//! connections) does not. Left to others: matching (exchange), when to arm what (chaos), what the
//! node makes of it.
//!
//! A socket that is open at one end only tells nobody. What notices is the client's heartbeat, so a
//! [`LinkFault::HalfOpen`] ends as [`BrokerEvent::Disconnected`](crate::port::BrokerEvent) after
//! the time that its heartbeat takes.

use super::WireMessage;
use exchange::order::Request;
use market::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;
use trading::report::Report;

/// Faults that may wait for their moment at once.
const ARMED_MAX: usize = 64;
/// Requests that a gateway keeps while it can't pass them on; more are lost.
const WAITING_MAX: usize = 256;
/// A report that waits for another to overtake it is told at the latest after so long.
const OVERTAKEN_WITHIN: Duration = Duration::from_secs(5);

/// What a report is about, for faults that pick one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// An acknowledgement.
    Acknowledged,
    /// Filled and remaining units.
    Status,
    /// An execution that is no leg.
    Execution,
    /// An execution of a combo's leg.
    Leg,
    /// A combo's own line.
    ComboLine,
    /// A fee.
    Fee,
    /// An order's end.
    Ended,
    /// A modify took effect.
    Modified,
    /// An order, a modify or a cancel was refused.
    Refused,
    /// An execution taken back, or an event without a trade.
    Other,
}

impl Said {
    /// What a report is about.
    #[must_use]
    pub const fn of(report: &Report) -> Self {
        match report {
            Report::Acknowledged { .. } => Self::Acknowledged,
            Report::Status { .. } => Self::Status,
            Report::Execution(fill) if fill.combo_leg => Self::Leg,
            Report::Execution(_) => Self::Execution,
            Report::ComboExecution(_) => Self::ComboLine,
            Report::Fee { .. } => Self::Fee,
            Report::Ended { .. } => Self::Ended,
            Report::Modified { .. } => Self::Modified,
            Report::Rejected { .. }
            | Report::CancelRejected { .. }
            | Report::ModifyRejected { .. } => Self::Refused,
            Report::Busted { .. } | Report::Lifecycle(_) => Self::Other,
        }
    }
}

/// When a fault of the link strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// As soon as it is armed.
    Now,
    /// While the next new order is written.
    Place,
    /// While the next modify is written.
    Modify,
    /// While the next cancel is written.
    Cancel,
    /// When the next question comes.
    Question,
    /// Right after the next report of this kind was heard.
    Heard(Said),
}

/// Whether a write that breaks arrives all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It does, as if nothing had broken.
    InTime,
    /// It never does.
    Never,
    /// It does, after so long in somebody's queue.
    After(Duration),
}

/// What the link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// The broker closes the connection; what was on its way to the client is lost.
    Close,
    /// The connection breaks in the middle of a write, which can't tell whether it arrives. Where
    /// nothing is written it is a close.
    Break(Arrival),
    /// Nothing arrives any more in either direction, and nobody is told until the client's
    /// heartbeat notices.
    HalfOpen {
        /// How long that takes.
        lasting: Duration,
    },
    /// The gateway loses the broker (IB: 1100). Orders trade on, nothing is heard, requests wait;
    /// then the broker is back (1102).
    Outage {
        /// How long.
        lasting: Duration,
    },
    /// The gateway restarts: it takes the requests that it hasn't passed on with it, and refuses
    /// connections meanwhile.
    Restart {
        /// How long.
        lasting: Duration,
    },
    /// At the next connection the next order number is lower than it was: the gateway was reset.
    RollBack {
        /// By how much.
        numbers: i64,
    },
    /// Reports are lost and everything else works.
    Mute {
        /// How long.
        lasting: Duration,
    },
}

impl LinkFault {
    /// Its name in reports of campaigns.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Close => "closed",
            Self::Break(Arrival::InTime) => "broken, arrived",
            Self::Break(Arrival::Never) => "broken, lost",
            Self::Break(Arrival::After(_)) => "broken, arrived late",
            Self::HalfOpen { .. } => "half open",
            Self::Outage { .. } => "outage 1100",
            Self::Restart { .. } => "gateway restart",
            Self::RollBack { .. } => "order ids rolled back",
            Self::Mute { .. } => "reports muted",
        }
    }
}

/// What becomes of one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFault {
    /// It is lost.
    Drop,
    /// It is heard twice.
    Duplicate,
    /// It is heard later.
    Delay(Duration),
    /// It is heard after the next report of this kind.
    OvertakenBy(Said),
}

impl ReportFault {
    /// Its name in reports of campaigns.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "report dropped",
            Self::Duplicate => "report duplicated",
            Self::Delay(_) => "report delayed",
            Self::OvertakenBy(_) => "report overtaken",
        }
    }
}

/// A fault with its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Of the link.
    Link {
        /// When.
        at: Moment,
        /// What.
        fault: LinkFault,
    },
    /// Of the next report of a kind.
    Report {
        /// Of which kind.
        said: Said,
        /// What.
        fault: ReportFault,
    },
}

impl Fault {
    /// Its name in reports of campaigns.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link { fault, .. } => fault.name(),
            Self::Report { fault, .. } => fault.name(),
        }
    }
}

/// Too many faults wait for their moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ARMED_MAX} faults wait for their moment already, clear them first")]
pub struct TooManyFaults;

/// A request on its way through a gateway that is not passing it on yet.
#[derive(Debug)]
struct Waiting {
    /// When it goes on; none: when the outage ends.
    due: Option<Timestamp>,
    request: Request,
}

/// A report that is not told yet.
#[derive(Debug)]
struct HeldReport {
    due: Timestamp,
    after: Option<Said>,
    report: Report,
}

/// What is wrong with the connection and the gateway.
#[derive(Debug, Default)]
pub(super) struct LinkFaults {
    armed: VecDeque<Fault>,
    half_open_until: Option<Timestamp>,
    mute_until: Option<Timestamp>,
    held: Vec<HeldReport>,
    outage_until: Option<Timestamp>,
    refused_until: Option<Timestamp>,
    rolled_back: i64,
    waiting: VecDeque<Waiting>,
}

/// What time brought.
#[derive(Debug, Default)]
pub(super) struct Elapsed {
    /// The client's heartbeat has noticed a half-open socket.
    pub noticed: bool,
    /// The broker is back.
    pub back: bool,
    /// Requests that go on to the exchange.
    pub requests: Vec<Request>,
    /// Reports that are told.
    pub reports: Vec<Report>,
}

/// What becomes of a request that the client wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It goes to the exchange.
    Through,
    /// The gateway keeps it until then.
    Waits(Option<Timestamp>),
    /// It is gone.
    Lost,
}

impl LinkFaults {
    pub fn arm(&mut self, fault: Fault) -> Result<(), TooManyFaults> {
        if self.armed.len() >= ARMED_MAX {
            return Err(TooManyFaults);
        }
        self.armed.push_back(fault);
        Ok(())
    }

    /// Forgets the faults that wait for their moment; answers how many.
    pub fn disarm(&mut self) -> usize {
        let waiting = self.armed.len();
        self.armed.clear();
        waiting
    }

    /// The fault that strikes at this moment, if one is armed.
    pub fn take_at(&mut self, moment: Moment) -> Option<LinkFault> {
        let place = self
            .armed
            .iter()
            .position(|fault| matches!(fault, Fault::Link { at, .. } if *at == moment))?;
        match self.armed.remove(place)? {
            Fault::Link { fault, .. } => Some(fault),
            Fault::Report { .. } => None,
        }
    }

    /// The fault of the next report of this kind, if one is armed.
    pub fn take_of(&mut self, wanted: Said) -> Option<ReportFault> {
        let place = self
            .armed
            .iter()
            .position(|fault| matches!(fault, Fault::Report { said, .. } if *said == wanted))?;
        match self.armed.remove(place)? {
            Fault::Report { fault, .. } => Some(fault),
            Fault::Link { .. } => None,
        }
    }

    /// What lasts begins.
    pub fn begin(&mut self, fault: LinkFault, now: Timestamp) {
        let until = |lasting: Duration| Some(now.plus(lasting));
        match fault {
            LinkFault::HalfOpen { lasting } => self.half_open_until = until(lasting),
            LinkFault::Outage { lasting } => self.outage_until = until(lasting),
            LinkFault::Restart { lasting } => {
                self.refused_until = until(lasting);
                self.waiting.clear();
            }
            LinkFault::Mute { lasting } => self.mute_until = until(lasting),
            LinkFault::RollBack { numbers } => self.rolled_back = numbers,
            LinkFault::Close | LinkFault::Break(_) => {}
        }
    }

    /// The connection is gone, or a new one begins.
    pub fn on_connection_changed(&mut self) {
        self.half_open_until = None;
        self.mute_until = None;
        self.held.clear();
    }

    pub fn refuses(&self, now: Timestamp) -> bool {
        self.refused_until.is_some_and(|until| now < until)
    }

    pub const fn has_outage(&self) -> bool {
        self.outage_until.is_some()
    }

    /// The next order number as the gateway tells it, once.
    pub fn told_number(&mut self, next: i64) -> i64 {
        let numbers = std::mem::take(&mut self.rolled_back);
        (next - numbers).max(1)
    }

    /// Whether the client hears nothing.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        let muted = self.mute_until.is_some_and(|until| now < until);
        muted || self.half_open_until.is_some() || self.has_outage()
    }

    /// Whether questions are answered.
    pub const fn answers(&self) -> bool {
        self.half_open_until.is_none() && self.outage_until.is_none()
    }

    /// What becomes of what the client writes.
    pub fn passage(&self) -> Passage {
        if self.half_open_until.is_some() {
            Passage::Lost
        } else if self.has_outage() {
            Passage::Waits(None)
        } else {
            Passage::Through
        }
    }

    pub fn keep(&mut self, request: Request, due: Option<Timestamp>) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(Waiting { due, request });
        }
    }

    pub fn hold(&mut self, report: Report, fault: ReportFault, now: Timestamp) {
        let (due, after) = match fault {
            ReportFault::OvertakenBy(said) => (now.plus(OVERTAKEN_WITHIN), Some(said)),
            ReportFault::Delay(by) => (now.plus(by), None),
            ReportFault::Drop | ReportFault::Duplicate => (now, None),
        };
        self.held.push(HeldReport { due, after, report });
    }

    /// The reports that waited for one of this kind.
    pub fn overtaken(&mut self, by: Said) -> Vec<Report> {
        let released = self.held.extract_if(.., |held| held.after == Some(by));
        released.map(|held| held.report).collect()
    }

    /// When something lasting ends or something late is due.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let requests = self.waiting.iter().filter_map(|waiting| waiting.due);
        let reports = self.held.iter().map(|held| held.due);
        let lasting = [self.half_open_until, self.outage_until].into_iter().flatten();
        lasting.chain(requests).chain(reports).min()
    }

    pub fn on_time(&mut self, now: Timestamp) -> Elapsed {
        let over = |until: &mut Timestamp| *until <= now;
        let noticed = self.half_open_until.take_if(over).is_some();
        let back = self.outage_until.take_if(over).is_some();
        let mut requests = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            let goes = waiting.due.map_or(back, |due| due <= now && !self.has_outage());
            if goes {
                requests.push(waiting.request);
            } else {
                let due = waiting.due.filter(|due| *due > now);
                self.waiting.push_back(Waiting { due, ..waiting });
            }
        }
        let reports = self.held.extract_if(.., |held| held.due <= now);
        let reports = reports.map(|held| held.report).collect();
        Elapsed { noticed, back, requests, reports }
    }
}

/// What a listener hears of the venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VenueNews {
    /// A client's message came in.
    Received(WireMessage),
    /// A fault struck.
    Struck(Fault),
}
