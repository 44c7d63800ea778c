//! What a campaign sees: faults as they strike and what was under way at that moment, what the
//! venue receives and whether it may, and how every Unknown ended.

use crate::schedule::Card;
use actors::auditor::Audit;
use actors::runtime::clock::Clock;
use actors::runtime::protocol::{ProtocolStep, StepObserver, StepVerdict};
use actors::runtime::role::RolePath;
use arc_swap::ArcSwap;
use broker::link::LinkState;
use broker::simulated::WireMessage;
use broker::simulated::faults::{Fault, LinkFault, Moment, ReportFault, Said, VenueNews};
use chaos::simulation::director::Stage;
use desk::order_state::OrderState;
use desk::record::Record;
use desk::view::DeskView;
use market::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use trading::id::OrderId;

/// What was under way when a fault struck.
pub const WINDOWS: [&str; 8] = [
    "durable, unsent",
    "sent, unacked",
    "working",
    "partly filled",
    "cancel in flight",
    "modify in flight",
    "between legs",
    "Unknown",
];

/// Strikes at steps keep this distance, so that the shipped restart intensities are kept.
const BETWEEN_KILLS: Duration = Duration::from_secs(310);

#[derive(Default)]
pub struct Seen {
    /// By fault: how often, and in which windows.
    pub struck: BTreeMap<String, (u64, BTreeMap<&'static str, u64>)>,
    pub total: u64,
    /// Strikes that ended the connection, a role or the node.
    pub breaks: u64,
    /// How often the venue received each order key.
    pub keys: BTreeMap<String, u32>,
    /// Orders and modifies received while the link was not Ready.
    pub not_ready: Vec<String>,
    pub placed: u64,
    pub modified: u64,
    pub canceled: u64,
    /// Strikes that wait for a step.
    pub at_step: VecDeque<(ProtocolStep, Option<&'static str>)>,
    /// What dies when the next leg was heard.
    pub at_leg: VecDeque<Option<&'static str>>,
    pub last_kill: Option<Timestamp>,
    /// When the faults that have struck are over.
    pub lifts: Vec<Timestamp>,
    /// Since when something trades less than it may.
    pub tripped: Option<Timestamp>,
    /// How often an operator resumed.
    pub resumed: u64,
    /// Looks at the working orders: how many there were.
    pub looks: [u64; 2],
}

#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<Seen>>);

/// What a strike is judged by. It holds nothing of the fault board, which holds its observer.
#[derive(Clone)]
struct Eye {
    clock: Clock,
    desk: Arc<ArcSwap<DeskView>>,
    audit: Audit,
}

impl Eye {
    fn of(stage: &Stage) -> Self {
        let desk = Arc::clone(&stage.parts.desk_view);
        Self { clock: stage.clock.clone(), desk, audit: stage.audit.clone() }
    }
}

impl Watch {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to the venue and to the steps of one life.
    pub fn attach(&self, stage: &Stage) {
        let (own, on) = (self.clone(), stage.clone());
        stage.venue.on_news(Box::new(move |news, now| own.hear(news, now, &on)));
        let steps = Steps { watch: self.clone(), eye: Eye::of(stage) };
        stage.faults.observe_steps(Some(Arc::new(steps)));
    }

    fn hear(&self, news: &VenueNews, now: Timestamp, stage: &Stage) {
        match news {
            VenueNews::Received(message) => self.received(message, stage),
            VenueNews::Struck(fault) => {
                self.struck(fault.name(), lasting(*fault), is_leg(*fault), &Eye::of(stage));
                if ends_the_connection(*fault) {
                    self.seen().breaks += 1;
                }
                if matches!(fault, Fault::Link { at: Moment::Heard(Said::Leg), .. }) {
                    let dies = self.seen().at_leg.pop_front();
                    if let Some(dies) = dies {
                        self.kill(dies, "between legs", now, stage);
                    }
                }
            }
        }
    }

    fn received(&self, message: &WireMessage, stage: &Stage) {
        let mut seen = self.seen();
        let what = match message {
            WireMessage::Placed(order) => {
                seen.placed += 1;
                *seen.keys.entry(order.reference.clone()).or_default() += 1;
                &order.reference
            }
            WireMessage::Modified(order) => {
                seen.modified += 1;
                &order.reference
            }
            WireMessage::Canceled { .. } => {
                seen.canceled += 1;
                return;
            }
        };
        let state = stage.parts.link.load().state;
        if state != LinkState::Ready {
            seen.not_ready.push(format!("{what} while {}", state.name()));
        }
    }

    /// Counts a strike with what is under way, and tells the auditor.
    fn struck(&self, name: &str, lasting: Duration, leg: bool, eye: &Eye) {
        let now = eye.clock.now().market;
        let view = eye.desk.load();
        let live = view.orders.iter().filter(|order| order.state.is_live());
        let mut under_way: Vec<&'static str> = Vec::new();
        for order in live {
            under_way.push(match order.state {
                OrderState::Pending => WINDOWS[0],
                OrderState::Sent => WINDOWS[1],
                OrderState::PartlyFilled => WINDOWS[3],
                OrderState::CancelPending => WINDOWS[4],
                OrderState::Unknown => WINDOWS[7],
                _ => WINDOWS[2],
            });
            if order.modifying {
                under_way.push(WINDOWS[5]);
            }
        }
        if leg {
            under_way.push(WINDOWS[6]);
        }
        under_way.sort_unstable();
        under_way.dedup();
        let mut seen = self.seen();
        seen.total += 1;
        seen.lifts.push(now.plus(lasting + Duration::from_secs(1)));
        let (count, windows) = seen.struck.entry(name.to_owned()).or_default();
        *count += 1;
        for window in under_way {
            *windows.entry(window).or_default() += 1;
        }
        eye.audit.tell(move |auditor| auditor.on_fault_injected(now));
    }

    /// Kills a role, or the node.
    pub fn kill(&self, role: Option<&'static str>, when: &str, now: Timestamp, stage: &Stage) {
        let name =
            role.map_or_else(|| "crash of the node".to_owned(), |role| format!("kill {role}"));
        self.struck(&name, Duration::ZERO, when == "between legs", &Eye::of(stage));
        let mut seen = self.seen();
        seen.last_kill = Some(now);
        seen.breaks += 1;
        drop(seen);
        match role {
            // One that is down at this very moment is being restarted already.
            Some(role) => drop(stage.faults.kill(&RolePath::new(role))),
            None => stage.faults.crash(),
        }
    }

    /// Lets a card begin.
    pub fn play(&self, card: Card, stage: &Stage) {
        let now = stage.clock.now().market;
        match card {
            Card::Link(faults) => {
                for fault in faults {
                    // Too many that wait for a rare moment: this one is left out.
                    let _ = stage.venue.arm(fault, now);
                }
            }
            Card::Kill(role) => self.kill(Some(role), "", now, stage),
            Card::KillAt(step, role) => self.seen().at_step.push_back((step, Some(role))),
            Card::Crash(None) => self.kill(None, "", now, stage),
            Card::Crash(Some(step)) => self.seen().at_step.push_back((step, None)),
            Card::BetweenLegs(role) => {
                self.seen().at_leg.push_back(role);
                let at = Moment::Heard(Said::Leg);
                let _ = stage.venue.arm(Fault::Link { at, fault: LinkFault::Close }, now);
            }
        }
    }

    /// The faults that struck and how, as a table.
    pub fn table(&self) -> String {
        let seen = self.seen();
        let mut text = String::new();
        let _ = writeln!(text, "| fault | strikes | {} |", WINDOWS.join(" | "));
        let _ = writeln!(text, "|---|---{}|", "|---".repeat(WINDOWS.len()));
        for (name, (count, windows)) in &seen.struck {
            let cells = WINDOWS.map(|window| windows.get(window).copied().unwrap_or(0).to_string());
            let _ = writeln!(text, "| {name} | {count} | {} |", cells.join(" | "));
        }
        text
    }
}

/// How long a fault lasts.
fn lasting(fault: Fault) -> Duration {
    match fault {
        Fault::Link { fault, .. } => match fault {
            LinkFault::HalfOpen { lasting }
            | LinkFault::Outage { lasting }
            | LinkFault::Restart { lasting }
            | LinkFault::Mute { lasting } => lasting,
            LinkFault::Close | LinkFault::Break(_) | LinkFault::RollBack { .. } => Duration::ZERO,
        },
        Fault::Report { fault: ReportFault::Delay(by), .. } => by,
        Fault::Report { .. } => Duration::ZERO,
    }
}

fn ends_the_connection(fault: Fault) -> bool {
    match fault {
        Fault::Link { fault, .. } => {
            !matches!(fault, LinkFault::RollBack { .. } | LinkFault::Mute { .. })
        }
        Fault::Report { .. } => false,
    }
}

fn is_leg(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Link { at: Moment::Heard(Said::Leg), .. } | Fault::Report { said: Said::Leg, .. }
    )
}

/// Kills at the step that a strike waits for.
struct Steps {
    watch: Watch,
    eye: Eye,
}

impl StepObserver for Steps {
    fn on_step(&self, _: &RolePath, step: ProtocolStep, _: u64) -> StepVerdict {
        let now = self.eye.clock.now().market;
        let mut seen = self.watch.seen();
        let rested = seen.last_kill.is_none_or(|last| now >= last.plus(BETWEEN_KILLS));
        if !rested || seen.at_step.front().is_none_or(|(wanted, _)| *wanted != step) {
            return StepVerdict::Pass;
        }
        let dies = seen.at_step.pop_front().and_then(|(_, role)| role);
        seen.last_kill = Some(now);
        seen.breaks += 1;
        drop(seen);
        let name =
            dies.map_or_else(|| "crash of the node".to_owned(), |role| format!("kill {role}"));
        self.watch.struck(&name, Duration::ZERO, false, &self.eye);
        match dies {
            Some(role) => StepVerdict::KillRole(RolePath::new(role)),
            None => StepVerdict::CrashNode,
        }
    }
}

/// What became of every Unknown.
#[derive(Debug, Default)]
pub struct Unknowns {
    pub created: u64,
    /// By what resolved it.
    pub resolved: BTreeMap<&'static str, u64>,
    /// Abandoned ones that appeared later all the same.
    pub late: u64,
    /// The longest time between the two.
    pub longest: Duration,
}

/// Reads from the records how every Unknown ended.
pub fn unknowns(records: &[(Timestamp, Record)]) -> Unknowns {
    let mut open: BTreeMap<OrderId, Timestamp> = BTreeMap::new();
    let mut all = Unknowns::default();
    for (at, record) in records {
        let (order_id, how) = match record {
            Record::Unknown { order_id, .. } => {
                all.created += 1;
                open.insert(*order_id, *at);
                continue;
            }
            Record::Acknowledged { order_id, .. } => (*order_id, "found working"),
            Record::Ended { order_id, .. } => (*order_id, "found ended"),
            Record::SendRefused { order_id, .. } => (*order_id, "never written"),
            Record::Abandoned { order_id, proof } if proof.contains("time in force") => {
                (*order_id, "abandoned: its time in force ended")
            }
            Record::Abandoned { order_id, .. } => (*order_id, "abandoned: absent twice"),
            Record::Reappeared { .. } => {
                all.late += 1;
                continue;
            }
            _ => continue,
        };
        if let Some(since) = open.remove(&order_id) {
            *all.resolved.entry(how).or_default() += 1;
            all.longest = all.longest.max(at.since(since));
        }
    }
    if !open.is_empty() {
        all.resolved.insert("not resolved", open.len() as u64);
    }
    all
}
