//! What the broker and the session say, turned into events of the order table, and the table's acts
//! carried out.

use super::{Context, Desk, DeskAnswer, Effect, IntentOutcome, RefusedSend, Retry};
use crate::cells;
use crate::order_state::{Act, OrderEvent, cell};
use crate::record::Record;
use crate::state::Phase;
use market::instrument::ConId;
use market::money::{Price, Quantity};
use market::time::Now;
use std::collections::BTreeSet;
use trading::id::{ExecId, IntentKey, OrderId, PermId, StrategyId};
use trading::ledger::{Judgement, Terms};
use trading::lifecycle::{LifecycleEvent, LifecycleKind};
use trading::order::OrderHash;
use trading::report::{EndState, Fill, Report};

/// What came with an event.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    pub(super) perm_id: Option<PermId>,
    pub(super) end: Option<EndState>,
    /// In words: why, or what the broker said.
    pub(super) words: String,
    /// The record that books an execution, a correction or a bust.
    pub(super) booking: Option<Record>,
    /// The terms that work at the broker.
    pub(super) works: Option<(Price, Quantity)>,
    pub(super) code: u32,
    /// Units that the broker calls filled.
    pub(super) filled: Option<Quantity>,
    pub(super) hash: Option<OrderHash>,
}

impl News {
    pub(super) fn because(words: &str) -> Self {
        Self { words: words.to_owned(), ..Self::default() }
    }

    fn of_perm(perm_id: PermId) -> Self {
        Self { perm_id: Some(perm_id), ..Self::default() }
    }
}

impl Desk {
    /// One event of one order: looks its cell up and carries the acts out.
    pub(super) fn happen(
        &mut self,
        order_id: OrderId,
        event: OrderEvent,
        news: News,
        context: &Context<'_>,
        now: Now,
    ) {
        let Some(entry) = self.state.orders.get(&order_id) else {
            return;
        };
        cells::enter(entry.state(), event);
        let acts = cell(entry.state(), event).acts;
        for act in acts {
            self.act(*act, order_id, event, &news, context, now);
        }
    }

    fn act(
        &mut self,
        act: Act,
        order_id: OrderId,
        event: OrderEvent,
        news: &News,
        context: &Context<'_>,
        now: Now,
    ) {
        let Some(entry) = self.state.orders.get(&order_id) else {
            return;
        };
        let perm_id = news.perm_id.unwrap_or(PermId(0));
        match act {
            Act::RecordSent if !entry.sent => {
                let hash = news.hash.unwrap_or(entry.hash);
                self.record(Record::Sent { order_id, hash });
            }
            Act::RecordSent => {}
            Act::RecordRefused => {
                let reason = news.words.clone();
                let filled = entry.filled_units();
                self.record(Record::SendRefused { order_id, reason });
                let end = EndState::Rejected;
                self.tell_outcome(order_id, &IntentOutcome::Ended { end, filled });
            }
            Act::Acknowledge => {
                let cancel = entry.cancel_asked;
                self.record(Record::Acknowledged { order_id, perm_id });
                self.absent.remove(&order_id);
                if cancel {
                    // The cancel may have gone before the order did.
                    self.cancels.remove(&order_id);
                }
            }
            Act::Book => {
                if let Some(booking) = news.booking.clone() {
                    self.record(booking);
                }
            }
            Act::End => self.end(order_id, news),
            Act::BecomeUnknown => {
                let reason = news.words.clone();
                self.record(Record::Unknown { order_id, reason });
            }
            Act::Abandon => {
                let proof = news.words.clone();
                self.record(Record::Abandoned { order_id, proof });
                self.tell_outcome(order_id, &IntentOutcome::Abandoned);
            }
            Act::Reappear => self.record(Record::Reappeared { order_id, perm_id }),
            Act::AskCancel => self.ask_cancel(order_id, news, now),
            Act::AskAgain => self.cancel_again(order_id, now),
            Act::NoteCancelRejected => {
                let code = news.code;
                if entry.cancel_asked {
                    self.record(Record::CancelRejected { order_id, code });
                }
            }
            // The caller does these: it holds the intent.
            Act::Modify | Act::Deny => {}
            Act::SettleModify => self.settle_modify(order_id, event, news),
            Act::Compare => {
                let booked = entry.filled_units();
                if let Some(filled) = news.filled.filter(|filled| *filled > booked) {
                    self.reported.insert(order_id, filled);
                    self.mismatched.entry(order_id).or_insert(now.process);
                }
            }
            Act::Reconcile => self.request_reconcile(&format!("order {order_id}: {event:?}")),
            Act::Alarm => {
                let state = entry.state().name();
                let words = &news.words;
                self.alarm(format!("order {order_id} ({state}): {event:?} {words}"));
            }
        }
        let _ = context;
    }

    fn end(&mut self, order_id: OrderId, news: &News) {
        let Some(entry) = self.state.orders.get(&order_id) else {
            return;
        };
        let Some(end) = news.end else { return };
        if let Phase::Ended(ended) = entry.phase
            && (ended == end || ended != EndState::Inactive)
        {
            return;
        }
        // One of several orders under this reference: the others still work.
        if let Some(perm_id) = news.perm_id
            && entry.perm_ids.len() > 1
        {
            self.dead_perms.insert(perm_id);
            if !entry.perm_ids.is_subset(&self.dead_perms) {
                self.request_reconcile("one of several orders of an intent ended");
                return;
            }
        }
        let filled = entry.filled_units();
        let detail = news.words.clone();
        self.record(Record::Ended { order_id, end, detail });
        if end != EndState::Inactive {
            self.tell_outcome(order_id, &IntentOutcome::Ended { end, filled });
        }
    }

    fn ask_cancel(&mut self, order_id: OrderId, news: &News, now: Now) {
        let asked = self.state.orders.get(&order_id).is_some_and(|entry| entry.cancel_asked);
        if asked {
            self.cancel_again(order_id, now);
            return;
        }
        let reason = news.words.clone();
        self.effects.push(Effect::Cancel { order_id });
        self.record(Record::CancelRequested { order_id, reason });
        let attempts = self.cancels.get(&order_id).map_or(0, |retry| retry.attempts);
        self.schedule_cancel(order_id, attempts, now);
    }

    fn cancel_again(&mut self, order_id: OrderId, now: Now) {
        let retry = self.cancels.get(&order_id).copied();
        if retry.is_some_and(|retry| retry.next > now.process) {
            return;
        }
        let attempts = retry.map_or(0, |retry| retry.attempts);
        self.effects.push(Effect::Cancel { order_id });
        self.schedule_cancel(order_id, attempts, now);
        if attempts >= 2 {
            self.request_reconcile("a cancel is not confirmed");
        }
    }

    fn schedule_cancel(&mut self, order_id: OrderId, attempts: u32, now: Now) {
        let wait = self.config.cancel_retry_min.saturating_mul(1 << attempts.min(16));
        let next = now.process + wait.min(self.config.cancel_retry_max);
        let attempts = attempts.saturating_add(1);
        self.cancels.insert(order_id, Retry { attempts, next });
    }

    fn settle_modify(&mut self, order_id: OrderId, event: OrderEvent, news: &News) {
        let Some(entry) = self.state.orders.get(&order_id) else {
            return;
        };
        if event == OrderEvent::ModifyRejected {
            if entry.modify.is_some() {
                let code = news.code;
                self.record(Record::ModifyRejected { order_id, code });
                // Its old order works on; what the newer intent wanted is not served.
                let end = EndState::Rejected;
                let filled = Quantity::ZERO;
                self.tell_outcome(order_id, &IntentOutcome::Ended { end, filled });
            }
            return;
        }
        let Some((limit, quantity)) = news.works else {
            return;
        };
        let old = (entry.order.limit, entry.order.quantity);
        let wanted = entry.modify.as_ref().map(|wanted| (wanted.limit, wanted.quantity));
        let modified = Record::Modified { order_id, limit, quantity };
        match wanted {
            Some(wanted) if wanted == (limit, quantity) => self.record(modified),
            // The old terms again: the caller has proven that the modify is not under way.
            Some(_) if old == (limit, quantity) => {
                if event == OrderEvent::FoundOpen {
                    self.record(Record::ModifyRejected { order_id, code: 0 });
                }
            }
            None if old == (limit, quantity) => {}
            Some(_) | None => {
                self.alarm(format!("order {order_id} works at {limit} x {quantity}, not as asked"));
                self.record(modified);
                // A word that came late would be wrong until somebody asks.
                if event != OrderEvent::FoundOpen {
                    self.request_reconcile("an order works at terms that nobody asked for");
                }
            }
        }
    }

    pub(super) fn on_send_outcome(
        &mut self,
        order_id: OrderId,
        result: Result<OrderHash, RefusedSend>,
        context: &Context<'_>,
        now: Now,
    ) {
        let Some(entry) = self.state.orders.get(&order_id) else {
            return;
        };
        // Written in an earlier life of the journal, whose session outlived its desk by a moment:
        // in this one the order is Unknown, and only the broker's answers settle that. Recorded
        // here, the write would look like this life's own.
        if entry.serves.epoch != self.config.epoch {
            return;
        }
        let modify = entry.modify.as_ref().map(trading::order::Order::canonical_hash);
        let (event, news) = match result {
            Ok(hash) => {
                if modify == Some(hash) {
                    self.record(Record::Sent { order_id, hash });
                    return;
                }
                let news = News { hash: Some(hash), ..News::default() };
                (OrderEvent::SendOk, news)
            }
            Err(refused) if modify.is_some() => {
                if refused.may_have_left {
                    self.request_reconcile("a modify may have left");
                    return;
                }
                (OrderEvent::ModifyRejected, News::because(&refused.reason))
            }
            Err(refused) if refused.may_have_left => {
                (OrderEvent::SendLost, News::because(&refused.reason))
            }
            Err(refused) => (OrderEvent::SendRefused, News::because(&refused.reason)),
        };
        self.happen(order_id, event, news, context, now);
    }

    pub(super) fn on_report(&mut self, report: Report, context: &Context<'_>, now: Now) {
        match report {
            Report::Acknowledged { order_id, perm_id, reference } => {
                self.highest_seen_id = self.highest_seen_id.max(order_id.0);
                match self.state.locate(order_id, Some(perm_id), &reference) {
                    Some(order_id) => {
                        let event = self.acknowledged_as(order_id, perm_id);
                        self.happen(order_id, event, News::of_perm(perm_id), context, now);
                    }
                    None if self.state.external.contains_key(&perm_id) => {}
                    None => self.request_reconcile("an order of someone else"),
                }
            }
            Report::Status { order_id, perm_id, filled, .. } => {
                match self.state.locate(order_id, Some(perm_id), "") {
                    Some(order_id) => {
                        let news = News { filled: Some(filled), ..News::of_perm(perm_id) };
                        self.happen(order_id, OrderEvent::Status, news, context, now);
                    }
                    None if self.state.external.contains_key(&perm_id) => {}
                    None => self.request_reconcile("status of an order that is not known"),
                }
            }
            Report::Execution(fill) => self.on_execution(&fill, context, now),
            Report::ComboExecution(execution) => {
                let order_id = self.state.by_perm.get(&execution.perm_id);
                let entry = order_id.and_then(|order_id| self.state.orders.get(order_id));
                if entry.is_some_and(|entry| !entry.combo_lines.contains(&execution.exec_id)) {
                    self.record(Record::ComboChecked { execution });
                }
            }
            Report::Busted { exec_id } => self.on_bust(exec_id, context, now),
            Report::Fee { exec_id, amount, currency } => {
                if !self.state.ledger.has_fee(&exec_id) && !mutation::active("drop_fee") {
                    self.record(Record::Fee { exec_id, amount, currency });
                }
            }
            Report::Ended { order_id, perm_id, end } => {
                match self.state.locate(order_id, Some(perm_id), "") {
                    // Executions before it may have been lost with the link: its reservation stays
                    // until a reconciliation has brought them.
                    Some(_) if !self.is_ready() && end != EndState::Filled => {
                        self.request_reconcile("an order ended before the link was reconciled");
                    }
                    Some(order_id) => {
                        let news = News { end: Some(end), ..News::of_perm(perm_id) };
                        self.happen(order_id, ended(end), news, context, now);
                    }
                    None if self.state.external.contains_key(&perm_id) => {
                        self.record(Record::ExternalEnded { perm_id });
                    }
                    None => self.request_reconcile("end of an order that is not known"),
                }
            }
            Report::Rejected { order_id, code, text } => {
                let news = News {
                    end: Some(EndState::Rejected),
                    code,
                    words: format!("{code} {text}"),
                    ..News::default()
                };
                self.happen(order_id, OrderEvent::Rejected, news, context, now);
            }
            Report::CancelRejected { order_id, code } => {
                let news = News { code, ..News::default() };
                self.happen(order_id, OrderEvent::CancelRejected, news, context, now);
            }
            Report::ModifyRejected { order_id, code } => {
                let news = News { code, ..News::default() };
                self.happen(order_id, OrderEvent::ModifyRejected, news, context, now);
            }
            Report::Modified { order_id, limit, quantity } => {
                let news = News { works: Some((limit, quantity)), ..News::default() };
                self.happen(order_id, OrderEvent::Modified, news, context, now);
            }
            Report::Lifecycle(event) => self.on_lifecycle(event, context),
        }
    }

    pub(super) fn acknowledged_as(&self, order_id: OrderId, perm_id: PermId) -> OrderEvent {
        let entry = self.state.orders.get(&order_id);
        let other = |perms: &BTreeSet<PermId>| !perms.is_empty() && !perms.contains(&perm_id);
        if perm_id.0 > 0 && entry.is_some_and(|entry| other(&entry.perm_ids)) {
            OrderEvent::SecondPermId
        } else {
            OrderEvent::Acknowledged
        }
    }

    fn on_execution(&mut self, fill: &Fill, context: &Context<'_>, now: Now) {
        let judged = self.state.ledger.judge(&fill.exec_id);
        // A reconciliation brings all executions of the day again.
        let known = matches!(judged, Judgement::Duplicate | Judgement::Superseded);
        if known && !mutation::active("skip_exec_dedupe") {
            return;
        }
        let strategy = self.state.owner(fill);
        let terms = terms_of(context, fill.con_id);
        let filled =
            |fill: &Fill| Record::Filled { fill: fill.clone(), strategy: strategy.clone(), terms };
        let corrects = matches!(judged, Judgement::Corrects(_));
        let booking = match judged {
            Judgement::Duplicate if mutation::active("skip_exec_dedupe") => filled(fill),
            Judgement::Duplicate | Judgement::Superseded => return,
            Judgement::New | Judgement::AlreadyBusted => filled(fill),
            Judgement::Corrects(replaced) => Record::Corrected {
                replaced,
                fill: fill.clone(),
                strategy: strategy.clone(),
                terms,
            },
        };
        let order_id = self
            .state
            .locate(fill.order_id, Some(fill.perm_id), &fill.reference)
            .filter(|order_id| self.state.orders.contains_key(order_id));
        if let Some(order_id) = order_id {
            let second = self.acknowledged_as(order_id, fill.perm_id);
            if second == OrderEvent::SecondPermId {
                let news = News::of_perm(fill.perm_id);
                self.happen(order_id, second, news, context, now);
            }
            let event = if corrects || self.state.ledger.is_busted(&fill.exec_id) {
                OrderEvent::Correction
            } else {
                self.fill_event(order_id, fill)
            };
            let news = News { booking: Some(booking), ..News::of_perm(fill.perm_id) };
            self.happen(order_id, event, news, context, now);
        } else {
            self.record(booking);
        }
        if let Some(strategy) = strategy {
            let fill = Box::new(fill.clone());
            self.tell(&strategy, DeskAnswer::Filled { fill });
            if corrects {
                self.tell_positions(&strategy);
            }
        }
    }

    /// What an execution does to its order: completes it, leaves something, or goes beyond.
    fn fill_event(&self, order_id: OrderId, fill: &Fill) -> OrderEvent {
        let Some(entry) = self.state.orders.get(&order_id) else {
            return OrderEvent::FillPart;
        };
        let total = entry
            .modify
            .as_ref()
            .map_or(entry.order.quantity, |wanted| wanted.quantity.max(entry.order.quantity));
        let mut after = entry.filled.clone();
        *after.entry(fill.con_id).or_default() += Quantity(fill.side.sign() * fill.quantity.0);
        let wanted = trading::order::signed_legs(&entry.order.contract, entry.order.side, total);
        let done = |con_id: &ConId, wanted: &Quantity| {
            let filled = after.get(con_id).copied().unwrap_or_default().0;
            (filled * wanted.0.signum()).cmp(&wanted.0.abs())
        };
        let foreign_leg = !wanted.iter().any(|(con_id, _)| *con_id == fill.con_id);
        let beyond = wanted.iter().any(|(con_id, wanted)| done(con_id, wanted).is_gt());
        if foreign_leg || beyond {
            OrderEvent::FillBeyond
        } else if wanted.iter().all(|(con_id, wanted)| done(con_id, wanted).is_eq()) {
            OrderEvent::FillWhole
        } else {
            OrderEvent::FillPart
        }
    }

    fn on_bust(&mut self, exec_id: ExecId, context: &Context<'_>, now: Now) {
        if self.state.ledger.is_busted(&exec_id) {
            return;
        }
        let fill = self.state.ledger.booked(&exec_id).cloned();
        let owner = self.state.ledger.owner(&exec_id).cloned();
        let booking = Record::Busted { exec_id };
        let order_id = fill.as_ref().and_then(|fill| {
            self.state
                .locate(fill.order_id, Some(fill.perm_id), &fill.reference)
                .filter(|order_id| self.state.orders.contains_key(order_id))
        });
        match order_id {
            Some(order_id) => {
                let news = News { booking: Some(booking), ..News::default() };
                self.happen(order_id, OrderEvent::Bust, news, context, now);
            }
            None => self.record(booking),
        }
        if let Some(strategy) = owner {
            self.tell_positions(&strategy);
        }
    }

    pub(super) fn on_lifecycle(&mut self, event: LifecycleEvent, context: &Context<'_>) {
        if self.state.ledger.has_lifecycle(&event.id) || mutation::active("drop_lifecycle") {
            return;
        }
        let shares = self.state.ledger.shares_of(&event.kind);
        let terms = instruments_of(&event.kind)
            .into_iter()
            .filter_map(|con_id| Some((con_id, terms_of(context, con_id)?)))
            .collect();
        let touched: BTreeSet<StrategyId> = shares.iter().map(|share| share.0.clone()).collect();
        self.record(Record::Lifecycle { event, shares, terms });
        for strategy in touched {
            self.tell_positions(&strategy);
        }
    }

    fn tell_positions(&mut self, strategy: &StrategyId) {
        let positions = self.state.ledger.strategy_positions(strategy);
        self.tell(strategy, DeskAnswer::PositionsChanged(positions));
    }

    /// Whether a reference was made by this installation.
    pub(super) fn is_ours(&self, reference: &str) -> bool {
        IntentKey::parse(reference).is_ok_and(|key| key.install == self.config.install)
    }
}

/// The event of a reported end.
pub(super) const fn ended(end: EndState) -> OrderEvent {
    match end {
        EndState::Filled => OrderEvent::EndedFilled,
        EndState::Canceled => OrderEvent::EndedCanceled,
        EndState::Expired => OrderEvent::EndedExpired,
        EndState::Rejected => OrderEvent::Rejected,
        EndState::Inactive => OrderEvent::EndedInactive,
    }
}

fn terms_of(context: &Context<'_>, con_id: ConId) -> Option<Terms> {
    context.catalog.get(con_id).ok().map(Terms::of)
}

fn instruments_of(kind: &LifecycleKind) -> Vec<ConId> {
    match *kind {
        LifecycleKind::Exercised { con_id, delivery, .. }
        | LifecycleKind::Assigned { con_id, delivery, .. } => {
            [Some(con_id), delivery.map(|delivery| delivery.con_id)].into_iter().flatten().collect()
        }
        LifecycleKind::Expired { con_id, .. }
        | LifecycleKind::CashSettled { con_id, .. }
        | LifecycleKind::Dividend { con_id, .. }
        | LifecycleKind::Variation { con_id, .. }
        | LifecycleKind::DeliverableChanged { con_id, .. } => vec![con_id],
        LifecycleKind::Cash { .. } => Vec::new(),
    }
}
