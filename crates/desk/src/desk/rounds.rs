//! A finished reconciliation, compared with the desk's state: missing executions are folded, orders
//! found and missed, external ones adopted, positions and cash checked; then the desk is Ready.

use super::reports::{News, ended};
use super::unsaid::{Moved, moved};
use super::{Absence, Context, Desk};
use crate::order_state::OrderEvent;
use crate::reconcile::{Agreement, RoundResult};
use crate::record::{ExternalOrder, ReconciliationReport, Record};
use crate::state::{OrderEntry, Phase};
use crate::unexplained::CASH_TOLERANCE;
use market::instrument::ConId;
use market::money::{Money, Quantity};
use market::time::Now;
use std::collections::{BTreeMap, BTreeSet};
use trading::id::{OrderId, PermId};
use trading::lifecycle::{LifecycleEvent, LifecycleId, LifecycleKind};
use trading::report::{CompletedOrder, OpenOrder};

/// Sentences about differences in one report: more than a person reads, fewer than a journal fears.
const UNRESOLVED_MAX: usize = 100;

impl Desk {
    pub(super) fn on_reconciled(
        &mut self,
        mut result: RoundResult,
        context: &Context<'_>,
        now: Now,
    ) {
        if !self.link_up || result.link_generation != self.link_generation {
            return;
        }
        match result.agreement {
            Agreement::Agreed => {}
            Agreement::Stirred => return self.on_stirred(result, context, now),
            Agreement::Unanswered => {
                let unresolved = vec!["the broker did not answer every question".to_owned()];
                return self.record_reconciliation(&result, unresolved);
            }
        }
        let reports = std::mem::take(&mut result.reports);
        let told: Vec<Moved> = reports.iter().filter_map(moved).collect();
        for report in reports {
            self.on_report(report, context, now);
        }
        // What was not asked for may explain it.
        if result.since.is_some() && self.differs(&result) {
            self.request_reconcile("positions or cash differ: all executions are asked for");
            return;
        }
        let mut found = BTreeSet::new();
        self.meet_open(&result.open, &result, &mut found, context, now);
        self.meet_external(&result);
        self.meet_completed(&result.completed, &mut found, context, now);
        if mutation::active("resend_unknown") {
            self.reconciled = true;
            self.resend_unknown(context, now);
        }
        let live: BTreeSet<OrderId> = self.state.live().map(|(order_id, _)| *order_id).collect();
        self.meet_absent(&result, &live - &found, context, now);
        if self.state.reconciled_once && result.since.is_none() {
            self.explain(&result, &told, context, now);
        }
        self.open_cash(&result, now);
        let mut unresolved = self.compare_positions(&result);
        unresolved.extend(self.compare_cash(&result));
        unresolved.truncate(UNRESOLVED_MAX);
        self.record_reconciliation(&result, unresolved);
        self.reconciled = true;
    }

    /// On an account where something is always reported no two rounds agree. One that was answered
    /// whole still settles the orders in doubt: what it says of an order of which nothing has been
    /// heard since holds.
    fn on_stirred(&mut self, mut result: RoundResult, context: &Context<'_>, now: Now) {
        if self.reconciled {
            for report in std::mem::take(&mut result.reports) {
                self.on_report(report, context, now);
            }
            let doubtful = |entry: &OrderEntry| {
                entry.phase == Phase::Unknown || (entry.modify.is_some() && entry.sent)
            };
            let doubtful = self.state.live().filter(|(_, entry)| doubtful(entry));
            let doubtful: BTreeSet<OrderId> = doubtful.map(|(order_id, _)| *order_id).collect();
            let state = &self.state;
            let is_in_doubt = |order_id, perm_id, reference: &str| {
                let order_id = state.locate(order_id, Some(perm_id), reference);
                order_id.is_some_and(|order_id| doubtful.contains(&order_id))
            };
            let open = result.open.iter();
            let open: Vec<OpenOrder> = open
                .filter(|order| is_in_doubt(order.order_id, order.perm_id, &order.reference))
                .cloned()
                .collect();
            let completed = result.completed.iter();
            let completed: Vec<CompletedOrder> = completed
                .filter(|order| is_in_doubt(OrderId(0), order.perm_id, &order.reference))
                .cloned()
                .collect();
            let mut found = BTreeSet::new();
            self.meet_open(&open, &result, &mut found, context, now);
            self.meet_completed(&completed, &mut found, context, now);
            self.meet_absent(&result, &doubtful - &found, context, now);
        }
        let unresolved = vec!["reports kept coming between the broker's answers".to_owned()];
        self.record_reconciliation(&result, unresolved);
    }

    fn record_reconciliation(&mut self, result: &RoundResult, unresolved: Vec<String>) {
        let open = result.open.iter();
        self.record(Record::Reconciled {
            report: ReconciliationReport {
                link_generation: result.link_generation,
                rounds: result.rounds,
                complete: result.agreement == Agreement::Agreed,
                stirred: result.agreement == Agreement::Stirred,
                positions: result.positions.clone(),
                cash: result.cash.clone(),
                open_orders: open.map(|order| (order.reference.clone(), order.perm_id)).collect(),
                unresolved,
            },
        });
    }

    fn own(&self, open: &OpenOrder) -> Option<OrderId> {
        let order_id = self.state.locate(open.order_id, Some(open.perm_id), &open.reference);
        order_id.filter(|_| !mutation::active("disown_found_orders"))
    }

    /// Our orders that the broker has open.
    fn meet_open(
        &mut self,
        orders: &[OpenOrder],
        result: &RoundResult,
        found: &mut BTreeSet<OrderId>,
        context: &Context<'_>,
        now: Now,
    ) {
        for open in orders {
            self.highest_seen_id = self.highest_seen_id.max(open.order_id.0);
            let Some(order_id) = self.own(open) else { continue };
            found.insert(order_id);
            let event = match self.acknowledged_as(order_id, open.perm_id) {
                OrderEvent::SecondPermId => OrderEvent::SecondPermId,
                _ => OrderEvent::FoundOpen,
            };
            // A modify that the broker does not show may still be under way: that it failed is
            // proven like an absence.
            let old = self.state.orders.get(&order_id).is_some_and(|entry| {
                let shown = (open.limit, open.quantity);
                entry.modify.is_some() && shown == (entry.order.limit, entry.order.quantity)
            });
            let settled = !old || self.prove_absent(order_id, result, now);
            let news = News {
                perm_id: Some(open.perm_id),
                works: settled.then_some((open.limit, open.quantity)),
                filled: Some(open.filled),
                words: "found working".to_owned(),
                ..News::default()
            };
            self.happen(order_id, event, news, context, now);
            if settled {
                self.absent.remove(&order_id);
            }
        }
    }

    /// Orders that are not ours.
    fn meet_external(&mut self, result: &RoundResult) {
        let mut external = BTreeSet::new();
        for open in &result.open {
            if self.own(open).is_none() {
                external.insert(open.perm_id);
                self.adopt(open);
            }
        }
        let gone: Vec<PermId> = self.state.external.keys().copied().collect();
        for perm_id in gone.into_iter().filter(|perm_id| !external.contains(perm_id)) {
            self.record(Record::ExternalEnded { perm_id });
        }
    }

    fn adopt(&mut self, open: &OpenOrder) {
        let order = ExternalOrder {
            perm_id: open.perm_id,
            reference: open.reference.clone(),
            contract: open.contract.clone(),
            side: open.side,
            quantity: open.quantity,
            filled: open.filled,
            limit: open.limit,
        };
        if self.state.external.get(&open.perm_id) == Some(&order) {
            return;
        }
        if self.is_ours(&open.reference) {
            self.alarm(format!("order {} is ours and not in the journal", open.reference));
        }
        self.record(Record::ExternalAdopted { order });
    }

    fn meet_completed(
        &mut self,
        orders: &[CompletedOrder],
        found: &mut BTreeSet<OrderId>,
        context: &Context<'_>,
        now: Now,
    ) {
        for completed in orders {
            if self.is_known(completed) {
                continue;
            }
            let order_id =
                self.state.locate(OrderId(0), Some(completed.perm_id), &completed.reference);
            let Some(order_id) = order_id.filter(|order_id| !found.contains(order_id)) else {
                continue;
            };
            found.insert(order_id);
            self.absent.remove(&order_id);
            let news = News {
                perm_id: Some(completed.perm_id),
                end: Some(completed.end),
                words: "found completed".to_owned(),
                filled: Some(completed.filled),
                ..News::default()
            };
            let inactive = completed.end == trading::report::EndState::Inactive;
            let event = if inactive { ended(completed.end) } else { OrderEvent::FoundCompleted };
            self.happen(order_id, event, news, context, now);
        }
    }

    /// Most of a day's list: an order that ended as we know it, with nothing owed. The permanent
    /// number is the account's, so it is enough to find it by.
    fn is_known(&self, completed: &CompletedOrder) -> bool {
        let order_id = self.state.by_perm.get(&completed.perm_id);
        let entry = order_id.and_then(|order_id| self.state.orders.get(order_id));
        entry.is_some_and(|entry| {
            entry.phase == Phase::Ended(completed.end)
                && entry.filled_units() == completed.filled
                && entry.is_settled()
        })
    }

    /// Live orders that neither list has. One that was sent while the round was asked is not
    /// missed.
    fn meet_absent(
        &mut self,
        result: &RoundResult,
        mut missed: BTreeSet<OrderId>,
        context: &Context<'_>,
        now: Now,
    ) {
        missed.retain(|order_id| {
            self.sent_at.get(order_id).is_none_or(|sent| *sent < result.started)
        });
        for order_id in missed {
            let entry = self.state.orders.get(&order_id).filter(|entry| entry.is_live());
            let Some(entry) = entry else { continue };
            let ends = context.surroundings.time_in_force_end(&entry.order, entry.created);
            let over = ends.is_some_and(|end| end <= now.market);
            let settled = self.prove_absent(order_id, result, now);
            let (event, words) = if over {
                let words = "absent, and its time in force ended by the exchange calendar";
                (OrderEvent::TimeInForceEnded, words)
            } else if settled {
                let words = "absent in two answered rounds of one link generation";
                (OrderEvent::AbsentProven, words)
            } else {
                (OrderEvent::AbsentUnproven, "absent in an answered round")
            };
            self.happen(order_id, event, News::because(words), context, now);
        }
        if self.state.live().any(|(_, entry)| entry.phase == Phase::Unknown) {
            self.reconcile_again = Some(now.process + self.config.settle);
        }
    }

    /// Whether this is the second absence, far enough from the first, in the same generation.
    fn prove_absent(&mut self, order_id: OrderId, result: &RoundResult, now: Now) -> bool {
        if mutation::active("skip_settle") {
            return true;
        }
        let link_generation = result.link_generation;
        let first = Absence { first: now.process, link_generation };
        let absence = self.absent.entry(order_id).or_insert(first);
        if absence.link_generation != link_generation {
            *absence = first;
        }
        result.started.since(absence.first) >= self.config.settle
    }

    /// The first reconciliation of an installation books what the account had before.
    fn open_cash(&mut self, result: &RoundResult, now: Now) {
        if self.state.reconciled_once {
            return;
        }
        for (currency, broker) in &result.cash {
            let own = self.state.ledger.cash().get(currency).copied();
            let amount = *broker - own.unwrap_or_default();
            let id = LifecycleId(format!("opening:{currency}"));
            if amount.is_zero() || self.state.ledger.has_lifecycle(&id) {
                continue;
            }
            self.record(Record::Lifecycle {
                event: LifecycleEvent {
                    id,
                    kind: LifecycleKind::Cash { amount },
                    currency: *currency,
                    time: now.market,
                },
                shares: Vec::new(),
                terms: Vec::new(),
            });
        }
    }

    fn differs(&self, result: &RoundResult) -> bool {
        let positions: BTreeMap<ConId, Quantity> = result.positions.iter().copied().collect();
        positions != *self.state.ledger.positions() || !self.compare_cash(result).is_empty()
    }

    fn compare_positions(&mut self, result: &RoundResult) -> Vec<String> {
        let broker: BTreeMap<ConId, Quantity> = result.positions.iter().copied().collect();
        let own = self.state.ledger.positions().clone();
        let known = self.state.restricted.keys();
        let instruments: BTreeSet<ConId> =
            broker.keys().chain(own.keys()).chain(known).copied().collect();
        let uneven: BTreeSet<ConId> = self
            .uneven
            .keys()
            .filter_map(|order_id| self.state.order(*order_id))
            .flat_map(|order| order.contract.legs())
            .map(|leg| leg.con_id)
            .collect();
        let mut unresolved = Vec::new();
        for con_id in instruments {
            let theirs = broker.get(&con_id).copied().unwrap_or_default();
            let ours = own.get(&con_id).copied().unwrap_or_default();
            let is_restricted = self.state.restricted.contains_key(&con_id);
            if theirs != ours {
                let reason = format!("{con_id:?}: the broker has {theirs}, the ledger {ours}");
                unresolved.push(reason.clone());
                if !is_restricted {
                    self.alarm(reason.clone());
                    self.record(Record::ContractRestricted { con_id, restricted: true, reason });
                }
            } else if is_restricted && !uneven.contains(&con_id) {
                self.record(Record::ContractRestricted {
                    con_id,
                    restricted: false,
                    reason: "the broker and the ledger agree".to_owned(),
                });
            }
        }
        unresolved
    }

    /// A difference of cash is named, never silent; fees that have not come explain most. A
    /// broker tells cents.
    fn compare_cash(&self, result: &RoundResult) -> Vec<String> {
        let own = self.state.ledger.cash();
        let differs = result.cash.iter().filter_map(|(currency, broker)| {
            let ours = own.get(currency).copied().unwrap_or(Money::ZERO);
            ((ours - *broker).abs() > CASH_TOLERANCE)
                .then(|| format!("{currency}: the broker has {broker}, the ledger {ours}"))
        });
        differs.collect()
    }
}
