//! The desk's durable state. It changes through [`State::apply`] and nothing else, in the live desk
//! as in a fold of the journal, so that the two can't differ.
//!
//! It holds no clock and no link: what a life of the process learns and may forget (who is
//! attached, who was absent once, what the broker reported as filled) belongs to the desk around
//! it.

mod entry;
mod orders;

pub use entry::{OrderEntry, Phase};
pub use orders::Orders;

use crate::record::{ExternalOrder, Record};
use market::instrument::ConId;
use market::money::{Money, Price, Quantity};
use market::time::Date;
use risk::exposure::{Exposure, PendingKind, PendingOrder};
use risk::gate::DayResult;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use trading::id::{AccountId, Epoch, InstallId, IntentKey, OrderId, PermId, StrategyId};
use trading::ledger::{Judgement, Ledger};
use trading::order::Order;
use trading::report::{EndState, Fill};

/// Ended orders that are kept to recognise late news of them. Older ones are found by their
/// reference alone; 4,096 is more than a busy day of this node.
pub const ENDED_ORDERS_KEPT: usize = 4_096;

/// The figures that the day's result is measured from.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DayBase {
    /// The day.
    pub day: Option<Date>,
    /// Realised until it began, all currencies as they are.
    pub realised: Money,
    /// Unrealised when it began.
    pub unrealised: Money,
    /// Fees until it began.
    pub fees: Money,
}

/// The desk's durable state.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// The installation.
    pub install: Option<InstallId>,
    /// The account.
    pub account: Option<AccountId>,
    /// Orders by our number: all live ones, and the last that ended.
    pub orders: Orders,
    /// Which order an intent became.
    pub by_key: BTreeMap<IntentKey, OrderId>,
    /// Which order a permanent number is.
    pub by_perm: BTreeMap<PermId, OrderId>,
    /// The highest key that became an order, per epoch and strategy.
    pub burnt: BTreeMap<(Epoch, StrategyId), u32>,
    /// The highest order number that was ever used.
    pub last_order_id: i64,
    /// Orders of others in the account.
    pub external: BTreeMap<PermId, ExternalOrder>,
    /// Contracts that trade ReduceOnly because nothing explains their position, and why.
    pub restricted: BTreeMap<ConId, String>,
    /// Positions, cash, fees, results.
    pub ledger: Ledger,
    /// Where the day began.
    pub day: DayBase,
    /// A complete reconciliation has been recorded in this installation's life.
    pub reconciled_once: bool,
    /// Ended orders, oldest first.
    ended: VecDeque<OrderId>,
}

impl State {
    /// The effect of one record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Started { install, account, .. } => {
                self.install = Some(*install);
                self.account = Some(account.clone());
            }
            Record::IntentApproved { intent, order, hash, .. } => {
                self.burn(&intent.key, order.order_id);
                self.last_order_id = self.last_order_id.max(order.order_id.0);
                let entry = OrderEntry::new(intent, order.clone(), *hash);
                self.orders.insert(order.order_id, entry);
            }
            Record::ModifyApproved { order, intent, .. } => {
                if let Some(intent) = intent {
                    self.burn(&intent.key, order.order_id);
                }
                self.with(order.order_id, |entry| {
                    entry.modify = Some(order.clone());
                    if let Some(intent) = intent {
                        entry.serves = intent.key.clone();
                        entry.target = intent.target.clone();
                    }
                });
            }
            Record::Sent { order_id, .. } => self.with(*order_id, |entry| {
                entry.sent = true;
                if entry.phase == Phase::Pending {
                    entry.phase = Phase::Sent;
                }
            }),
            Record::SendRefused { order_id, .. } => self.end(*order_id, EndState::Rejected),
            Record::Acknowledged { order_id, perm_id } => {
                self.know_perm(*order_id, *perm_id);
                self.with(*order_id, |entry| {
                    entry.acknowledge();
                });
            }
            Record::Modified { order_id, limit, quantity } => self.with(*order_id, |entry| {
                entry.take_modify(*limit, *quantity);
            }),
            Record::ModifyRejected { order_id, .. } => self.with(*order_id, |entry| {
                entry.modify = None;
            }),
            Record::CancelRequested { order_id, .. } => self.with(*order_id, |entry| {
                entry.cancel_asked = true;
                if entry.phase == Phase::Working {
                    entry.phase = Phase::CancelPending;
                }
            }),
            Record::CancelRejected { order_id, .. } => self.with(*order_id, |entry| {
                entry.cancel_asked = false;
                if entry.phase == Phase::CancelPending {
                    entry.phase = Phase::Working;
                }
            }),
            Record::Ended { order_id, end, .. } => self.end(*order_id, *end),
            Record::Unknown { order_id, .. } => self.with(*order_id, |entry| {
                entry.phase = Phase::Unknown;
            }),
            Record::Abandoned { order_id, .. } => {
                self.with(*order_id, |entry| entry.phase = Phase::Abandoned);
                self.retire(*order_id);
            }
            Record::Reappeared { order_id, perm_id } => {
                self.know_perm(*order_id, *perm_id);
                self.ended.retain(|ended| ended != order_id);
                self.with(*order_id, |entry| {
                    entry.phase = Phase::Working;
                    entry.cancel_asked = false;
                    entry.owed = Quantity::ZERO;
                });
            }
            Record::Filled { fill, strategy, terms } => {
                if let Some(terms) = terms {
                    self.ledger.learn(fill.con_id, *terms);
                }
                self.book(fill, strategy.as_ref());
            }
            Record::Corrected { fill, strategy, terms, .. } => {
                if let Some(terms) = terms {
                    self.ledger.learn(fill.con_id, *terms);
                }
                self.book(fill, strategy.as_ref());
            }
            Record::Busted { exec_id } => {
                let before = self.ledger.booked(exec_id).cloned();
                self.ledger.bust(exec_id);
                if self.ledger.booked(exec_id).is_none()
                    && let Some(fill) = before
                {
                    self.count(&fill, -1);
                }
            }
            Record::ComboChecked { execution } => {
                if let Some(order_id) = self.by_perm.get(&execution.perm_id).copied() {
                    self.with(order_id, |entry| {
                        entry.combo_lines.insert(execution.exec_id.clone());
                    });
                }
            }
            Record::Fee { exec_id, amount, currency } => {
                self.ledger.fee(exec_id, *amount, *currency)
            }
            Record::Lifecycle { event, shares, terms } => {
                for (con_id, terms) in terms {
                    self.ledger.learn(*con_id, *terms);
                }
                self.ledger.lifecycle(event, shares);
            }
            Record::Reconciled { report } => self.reconciled_once |= report.complete,
            Record::ExternalAdopted { order } => {
                self.external.insert(order.perm_id, order.clone());
            }
            Record::ExternalEnded { perm_id } => {
                self.external.remove(perm_id);
            }
            Record::ContractRestricted { con_id, restricted, reason } => {
                if *restricted {
                    self.restricted.insert(*con_id, reason.clone());
                } else {
                    self.restricted.remove(con_id);
                }
            }
            Record::Marked { marks, day } => self.begin_day(marks, *day),
            // These change other parts of the node's fold, or are evidence alone.
            Record::IntentDenied { .. }
            | Record::Tripped { .. }
            | Record::Released { .. }
            | Record::StrategyDurable { .. }
            | Record::Fault { .. }
            | Record::Operator { .. }
            | Record::Checkpoint { .. } => {}
        }
    }

    fn with(&mut self, order_id: OrderId, change: impl FnOnce(&mut OrderEntry)) {
        self.orders.change(order_id, change);
    }

    /// The broker gives numbers from 1; 0 is a message that carries none.
    fn know_perm(&mut self, order_id: OrderId, perm_id: PermId) {
        if perm_id.0 > 0 && self.orders.contains_key(&order_id) {
            self.by_perm.insert(perm_id, order_id);
            self.with(order_id, |entry| {
                entry.perm_ids.insert(perm_id);
            });
        }
    }

    fn burn(&mut self, key: &IntentKey, order_id: OrderId) {
        self.by_key.insert(key.clone(), order_id);
        let owner = (key.epoch, key.strategy.clone());
        let highest = self.burnt.entry(owner).or_default();
        *highest = (*highest).max(key.seq);
    }

    fn end(&mut self, order_id: OrderId, end: EndState) {
        self.with(order_id, |entry| {
            entry.phase = Phase::Ended(end);
            entry.modify = None;
            if end == EndState::Filled {
                entry.owed = entry.remaining();
            }
        });
        if end != EndState::Inactive {
            self.retire(order_id);
        }
    }

    fn retire(&mut self, order_id: OrderId) {
        // Once per end of an order, over numbers side by side: cheaper than an index of them.
        if !self.orders.contains_key(&order_id) || self.ended.contains(&order_id) {
            return;
        }
        self.ended.push_back(order_id);
        if self.ended.len() > ENDED_ORDERS_KEPT
            && let Some(oldest) = self.ended.pop_front()
        {
            self.forget(oldest);
        }
    }

    /// Drops an order and what points to it.
    fn forget(&mut self, order_id: OrderId) {
        let Some(entry) = self.orders.remove(order_id) else { return };
        for perm_id in &entry.perm_ids {
            if self.by_perm.get(perm_id) == Some(&order_id) {
                self.by_perm.remove(perm_id);
            }
        }
        // Its keys are its own, what it serves now, and those of the modifies between.
        let (first, last) = (entry.order.key, entry.serves);
        let (first, last) = if first <= last { (first, last) } else { (last, first) };
        let keys = self.by_key.range(first..=last).filter(|(_, owner)| **owner == order_id);
        let keys: Vec<IntentKey> = keys.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.by_key.remove(&key);
        }
    }

    fn book(&mut self, fill: &Fill, strategy: Option<&StrategyId>) {
        let judged = self.ledger.judge(&fill.exec_id);
        let again = match judged {
            Judgement::Duplicate => mutation::active("skip_exec_dedupe"),
            Judgement::Corrects(_) => mutation::active("book_corrections_anew"),
            _ => false,
        };
        if again {
            let mut again = fill.clone();
            let copies = self.ledger.positions().len() + self.orders.len();
            again.exec_id.0 = format!("again{copies}-{}", fill.exec_id.0);
            self.ledger.fill(&again, strategy);
            return;
        }
        let replaced = match judged {
            Judgement::Corrects(_) => self.ledger.booked(&fill.exec_id).cloned(),
            Judgement::New => None,
            Judgement::Duplicate | Judgement::Superseded => return,
            Judgement::AlreadyBusted => {
                self.ledger.fill(fill, strategy);
                return;
            }
        };
        if let Some(replaced) = replaced {
            self.count(&replaced, -1);
        }
        self.ledger.fill(fill, strategy);
        if self.ledger.booked(&fill.exec_id).is_some() {
            self.count(fill, 1);
        }
    }

    /// Counts an execution toward its order's legs.
    fn count(&mut self, fill: &Fill, sign: i64) {
        let found = self.locate(fill.order_id, Some(fill.perm_id), &fill.reference);
        if let Some(order_id) = found {
            self.with(order_id, |entry| {
                let filled = entry.filled.entry(fill.con_id).or_default();
                *filled += Quantity(sign * fill.side.sign() * fill.quantity.0);
                entry.owed = Quantity(entry.owed.0.min(entry.remaining().0));
            });
        } else if let Some(external) = self.external.get_mut(&fill.perm_id) {
            external.filled += Quantity(sign * fill.quantity.0);
        }
    }

    /// Whose order a message is about. The reference decides, because order numbers are issued
    /// again after a gateway's restart; then the permanent number; our own number only where
    /// neither contradicts it.
    #[must_use]
    pub fn locate(
        &self,
        order_id: OrderId,
        perm_id: Option<PermId>,
        reference: &str,
    ) -> Option<OrderId> {
        if !reference.is_empty() {
            let key = IntentKey::parse(reference).ok()?;
            return self.by_key.get(&key).copied();
        }
        let perm_id = perm_id.filter(|perm_id| perm_id.0 > 0);
        if let Some(known) = perm_id.and_then(|perm_id| self.by_perm.get(&perm_id)) {
            return Some(*known);
        }
        let entry = self.orders.get(&order_id)?;
        let contradicted = perm_id.is_some() && !entry.perm_ids.is_empty();
        (!contradicted).then_some(order_id)
    }

    /// Whose an execution is: by its order, else by its reference if it is this installation's.
    #[must_use]
    pub fn owner(&self, fill: &Fill) -> Option<StrategyId> {
        if let Some(order_id) = self.locate(fill.order_id, Some(fill.perm_id), &fill.reference) {
            let entry = self.orders.get(&order_id)?;
            return Some(entry.order.key.strategy.clone());
        }
        let key = IntentKey::parse(&fill.reference).ok()?;
        (Some(key.install) == self.install).then_some(key.strategy)
    }

    /// The orders that may still fill.
    pub fn live(&self) -> impl Iterator<Item = (&OrderId, &OrderEntry)> {
        self.orders.live()
    }

    /// What the account holds and what may still fill. `without` leaves one order out, to ask what
    /// a change of it would do.
    #[must_use]
    pub fn exposure(&self, without: Option<OrderId>) -> Exposure {
        let positions = self.ledger.positions().clone();
        let mut exposure = Exposure { positions, pending: Vec::new() };
        for (order_id, entry) in self.orders.unsettled() {
            if Some(*order_id) != without {
                exposure.pending.extend(entry.pending());
            }
        }
        for external in self.external.values() {
            let remaining = external.quantity - external.filled;
            if remaining > Quantity::ZERO {
                exposure.pending.push(PendingOrder {
                    contract: external.contract.clone(),
                    side: external.side,
                    remaining,
                    limit: external.limit,
                    kind: PendingKind::External,
                    strategy: None,
                });
            }
        }
        exposure
    }

    /// The instruments of which an order's fate is not known.
    #[must_use]
    pub fn unknown_contracts(&self) -> BTreeSet<ConId> {
        let unknown = self.orders.live().filter(|(_, entry)| entry.phase == Phase::Unknown);
        unknown.flat_map(|(_, entry)| entry.order.contract.legs()).map(|leg| leg.con_id).collect()
    }

    fn begin_day(&mut self, marks: &BTreeMap<ConId, Price>, day: Option<Date>) {
        let open = self.ledger.unrealised(marks).unwrap_or_default();
        self.day = DayBase {
            day,
            realised: self.ledger.realised().into_values().sum(),
            unrealised: open.into_values().sum(),
            fees: self.ledger.fees().values().copied().sum(),
        };
    }

    /// Realised, unrealised at `marks` and fees since the day began. One figure over all
    /// currencies, as the limits have it: this node trades an account in one.
    #[must_use]
    pub fn day_result(&self, marks: &BTreeMap<ConId, Price>) -> DayResult {
        let open = self.ledger.unrealised(marks);
        let open: Option<Money> = open.map(|open| open.into_values().sum());
        let realised: Money = self.ledger.realised().into_values().sum();
        let fees: Money = self.ledger.fees().values().copied().sum();
        DayResult {
            realised: realised - self.day.realised,
            unrealised: open.map(|open| open - self.day.unrealised),
            fees: fees - self.day.fees,
        }
    }

    /// An order as it is, for those who hold its number.
    #[must_use]
    pub fn order(&self, order_id: OrderId) -> Option<&Order> {
        self.orders.get(&order_id).map(|entry| &entry.order)
    }
}
