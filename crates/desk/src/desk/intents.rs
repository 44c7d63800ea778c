//! From an intent to an order: the desk's own checks, netting, the gate, and the reservation that
//! the approval's record makes, all in one `on`.

use super::reports::News;
use super::{Context, Desk, DeskAnswer, Effect, IntentOutcome};
use crate::cells;
use crate::order_state::{Act, OrderEvent, OrderState, cell};
use crate::record::{Evidence, LimitEvidence, QuoteEvidence, Record};
use crate::state::{OrderEntry, Phase};
use market::instrument::ConId;
use market::money::Quantity;
use market::quote::Side;
use market::time::Now;
use risk::cleared::Cleared;
use risk::evidence::GateEvidence;
use risk::gate::{DayResult, GateInput};
use trading::denial::{Denial, DenialCode};
use trading::id::{IntentKey, OrderId};
use trading::intent::Intent;
use trading::order::Order;
use trading::trading_state::{TradingState, TradingStates};

/// What netting came to.
enum Netted {
    /// The target is served.
    Satisfied,
    /// A new order of so many signed units.
    Submit(i64),
    /// A working order shall have this quantity and the intent's limit.
    Change(OrderId, Quantity),
}

impl Desk {
    pub(super) fn on_intent(&mut self, intent: &Intent, context: &Context<'_>, now: Now) {
        let outcome = match self.decide(intent, context, now) {
            Ok(outcome) => outcome,
            Err(denial) => {
                if let Some(record) = self.denials.note(intent, &denial, now.process) {
                    self.record(record);
                }
                IntentOutcome::Denied(denial)
            }
        };
        let key = intent.key.clone();
        self.tell(intent.strategy(), DeskAnswer::Outcome { key, outcome });
    }

    fn decide(
        &mut self,
        intent: &Intent,
        context: &Context<'_>,
        now: Now,
    ) -> Result<IntentOutcome, Denial> {
        self.check_intent(intent, context, now)?;
        match self.net(intent, context, now)? {
            Netted::Satisfied => Ok(IntentOutcome::Satisfied),
            Netted::Submit(units) => self.submit(intent, units, context, now),
            Netted::Change(order_id, quantity) => {
                self.change(intent, order_id, quantity, context, now)
            }
        }
    }

    /// What needs no market: who asks, with which key, and whether the desk can answer at all.
    fn check_intent(&self, intent: &Intent, context: &Context<'_>, now: Now) -> Result<(), Denial> {
        let key = &intent.key;
        if !self.attached.contains(&key.strategy) {
            let sentence = format!("{} must attach before it sends intents", key.strategy);
            return deny(DenialCode::StrategyNotAttached, sentence);
        }
        let foreign = key.install != self.config.install || key.epoch != self.config.epoch;
        let burnt = (key.epoch, key.strategy.clone());
        let highest = self.state.burnt.get(&burnt).copied().unwrap_or_default();
        if foreign || key.seq <= highest {
            let sentence = format!("{key} is not a new key of this life; the last was {highest}");
            return deny(DenialCode::DuplicateKey, sentence);
        }
        if intent.valid_until <= now.market {
            let sentence = format!("it was valid until {}", intent.valid_until);
            return deny(DenialCode::IntentExpired, sentence);
        }
        if !self.is_ready() {
            let sentence = "the broker link is not reconciled".to_owned();
            return deny(DenialCode::NotReady, sentence);
        }
        let Backlogged { records, age_ms } = Backlogged::of(context);
        let bound = &self.config;
        if records > bound.backlog_records_max || context.backlog.age > bound.backlog_age_max {
            let sentence = format!("{records} records are not durable, the oldest {age_ms} ms");
            return deny(DenialCode::JournalBehind, sentence);
        }
        let unknown = self.state.unknown_contracts();
        let legs = intent.target.contract().legs();
        if let Some(leg) = legs.iter().find(|leg| unknown.contains(&leg.con_id)) {
            let sentence = format!("the fate of an order in {:?} is not known", leg.con_id);
            return deny(DenialCode::UnknownOrder, sentence);
        }
        Ok(())
    }

    /// Target less position less working.
    fn net(&mut self, intent: &Intent, context: &Context<'_>, now: Now) -> Result<Netted, Denial> {
        let contract = intent.target.contract();
        let strategy = intent.strategy();
        let legs: Vec<ConId> = contract.legs().iter().map(|leg| leg.con_id).collect();
        let touches = |entry: &OrderEntry| {
            let own = entry.order.contract.legs();
            own.iter().any(|leg| legs.contains(&leg.con_id))
        };
        let live: Vec<(OrderId, OrderEntry)> = self
            .state
            .live()
            .filter(|(_, entry)| entry.strategy() == strategy && touches(entry))
            .map(|(order_id, entry)| (*order_id, entry.clone()))
            .collect();
        let own = live.iter().filter(|(_, entry)| entry.order.contract == contract);
        let own: Vec<&(OrderId, OrderEntry)> = own.collect();
        let others: Vec<&OrderEntry> = live
            .iter()
            .filter(|(_, entry)| entry.order.contract != contract)
            .map(|(_, entry)| entry)
            .collect();
        let units = self.needed_units(intent, &others)?;
        let Some((order_id, entry)) = own.first().copied() else {
            return Ok(if units == 0 { Netted::Satisfied } else { Netted::Submit(units) });
        };
        let working = entry.working_units();
        let limit = entry.modify.as_ref().unwrap_or(&entry.order).limit;
        let in_the_way = |why: &str| {
            let sentence = format!("order {order_id} of {working} units is {why}");
            deny(DenialCode::OrderInTheWay, sentence)
        };
        if own.len() > 1 {
            return in_the_way("one of several in this contract");
        }
        if entry.cancel_asked || entry.phase == Phase::CancelPending {
            return in_the_way("being canceled");
        }
        if units == working && limit == intent.limit {
            return Ok(Netted::Satisfied);
        }
        if units.signum() != working.signum() {
            let news = News::because("superseded");
            self.happen(*order_id, OrderEvent::CancelAsked, news, context, now);
            return in_the_way("on the other side; it is being canceled");
        }
        cells::enter(entry.state(), OrderEvent::ModifyAsked);
        let may_change = cell(entry.state(), OrderEvent::ModifyAsked).acts == [Act::Modify];
        let under_way = entry.modify.is_some() && !mutation::active("stack_modifies");
        if !may_change || under_way {
            return in_the_way(entry.state().name());
        }
        let total = Quantity(entry.filled_units().0 + units.abs());
        Ok(Netted::Change(*order_id, total))
    }

    /// Signed units of the contract that lead from what is held (and working in `others`) to the
    /// target; the legs must agree.
    fn needed_units(&self, intent: &Intent, others: &[&OrderEntry]) -> Result<i64, Denial> {
        let strategy = intent.strategy();
        let legs = intent.target.contract().legs();
        let mut units: Option<i64> = None;
        for (leg, (con_id, wanted)) in legs.iter().zip(intent.target.positions()) {
            let mut have = self.state.ledger.strategy_position(strategy, con_id);
            for entry in others {
                for other in entry.order.contract.legs() {
                    if other.con_id == con_id {
                        have += Quantity(i64::from(other.ratio) * entry.working_units());
                    }
                }
            }
            let need = wanted.0.saturating_sub(have.0);
            let ratio = i64::from(leg.ratio);
            let uneven = need % ratio != 0 || units.is_some_and(|units| units != need / ratio);
            if uneven {
                let sentence = format!("{con_id:?} needs {need}, which other legs don't match");
                return deny(DenialCode::UnevenLegs, sentence);
            }
            units = Some(need / ratio);
        }
        Ok(units.unwrap_or_default())
    }

    fn submit(
        &mut self,
        intent: &Intent,
        units: i64,
        context: &Context<'_>,
        now: Now,
    ) -> Result<IntentOutcome, Denial> {
        let recorded = match self.state.last_order_id {
            _ if mutation::active("forget_last_order_id") => 0,
            recorded => recorded,
        };
        let next = recorded.max(self.highest_seen_id);
        let order = Order {
            order_id: OrderId(next.saturating_add(1)),
            key: intent.key.clone(),
            account: self.config.account.clone(),
            contract: intent.target.contract(),
            side: if units > 0 { Side::Buy } else { Side::Sell },
            quantity: Quantity(units.abs()),
            limit: intent.limit,
            time_in_force: self.config.time_in_force,
            valid_until: intent.valid_until,
        };
        let cleared = self.clear(&order, intent, None, context, now)?;
        let order_id = order.order_id;
        self.record(Record::IntentApproved {
            intent: intent.clone(),
            order,
            hash: cleared.hash(),
            approvals: cleared.approvals().to_vec(),
            clearance: cleared.clearance(),
            evidence: evidence_of(cleared.evidence()),
        });
        self.sent_at.insert(order_id, now.process);
        self.effects.push(Effect::Send(Box::new(cleared)));
        Ok(IntentOutcome::Accepted { order_id })
    }

    fn change(
        &mut self,
        intent: &Intent,
        order_id: OrderId,
        quantity: Quantity,
        context: &Context<'_>,
        now: Now,
    ) -> Result<IntentOutcome, Denial> {
        let Some(entry) = self.state.orders.get(&order_id) else {
            return deny(DenialCode::OrderInTheWay, format!("order {order_id} is gone"));
        };
        debug_assert!(matches!(entry.state(), OrderState::Working | OrderState::PartlyFilled));
        let filled = entry.filled_units();
        let larger = entry.order.quantity.max(quantity) - filled;
        let order = Order {
            quantity,
            limit: intent.limit,
            valid_until: intent.valid_until,
            ..entry.order.clone()
        };
        let cleared = self.clear(&order, intent, Some((order_id, larger)), context, now)?;
        self.record(Record::ModifyApproved {
            order,
            hash: cleared.hash(),
            approvals: cleared.approvals().to_vec(),
            clearance: cleared.clearance(),
            evidence: evidence_of(cleared.evidence()),
            intent: Some(intent.clone()),
        });
        self.sent_at.insert(order_id, now.process);
        // That an earlier modify was once not seen proves nothing of this one.
        self.absent.remove(&order_id);
        self.effects.push(Effect::SendModify(Box::new(cleared)));
        Ok(IntentOutcome::Accepted { order_id })
    }

    /// Asks the gate. For a modify: which order, and the larger of its old and new remainder.
    fn clear(
        &mut self,
        order: &Order,
        intent: &Intent,
        modify: Option<(OrderId, Quantity)>,
        context: &Context<'_>,
        now: Now,
    ) -> Result<Cleared<Order>, Denial> {
        let exposure = self.state.exposure(modify.map(|(order_id, _)| order_id));
        let states = self.states_for(context);
        let input = GateInput {
            order,
            purpose: intent.purpose,
            is_modify_of_remaining: modify.map(|(_, remaining)| remaining),
            exposure: &exposure,
            markets: context.markets,
            catalog: context.catalog,
            states: &states,
            link_ready: self.is_ready(),
            day: self.day_result(context),
            margin_used: context.margin_used,
            cognition: context.surroundings.cognition(order),
            performance: context.surroundings.performance(order),
            session_open: context.surroundings.session_open(order, now.market),
            entries_frozen: context.surroundings.entries_frozen(now.market),
            desk_generation: self.generation,
            now,
        };
        self.gate.clear(input).map_err(|(denial, _)| denial)
    }

    /// The trading states, with the underlyings of restricted contracts at ReduceOnly at least.
    fn states_for(&self, context: &Context<'_>) -> TradingStates {
        let mut states = context.states.clone();
        for con_id in self.state.restricted.keys() {
            if let Ok(symbol) = context.catalog.symbol(*con_id) {
                let state = states.underlyings.entry(symbol.to_owned()).or_default();
                *state = (*state).max(TradingState::ReduceOnly);
            }
        }
        states
    }

    /// Realised, unrealised and fees since the day began.
    #[must_use]
    pub fn day_result(&self, context: &Context<'_>) -> DayResult {
        self.state.day_result(&self.marks(context))
    }

    /// The fault `resend_unknown`: sends the order of an Unknown intent a second time.
    pub(super) fn resend_unknown(&mut self, context: &Context<'_>, now: Now) {
        let unknown = self.state.live();
        let orders: Vec<(Order, IntentKey, OrderEntry)> = unknown
            .filter(|(_, entry)| entry.phase == Phase::Unknown)
            .map(|(_, entry)| (entry.order.clone(), entry.serves.clone(), entry.clone()))
            .collect();
        for (order, key, entry) in orders {
            let intent = Intent {
                key,
                target: entry.target,
                limit: order.limit,
                purpose: entry.purpose,
                valid_until: order.valid_until,
                created: entry.created,
                view_version: 0,
            };
            let without = Some((order.order_id, order.quantity));
            if let Ok(cleared) = self.clear(&order, &intent, without, context, now) {
                self.effects.push(Effect::Send(Box::new(cleared)));
            }
        }
    }
}

struct Backlogged {
    records: usize,
    age_ms: u128,
}

impl Backlogged {
    const fn of(context: &Context<'_>) -> Self {
        Self { records: context.backlog.records, age_ms: context.backlog.age.as_millis() }
    }
}

const fn deny<T>(code: DenialCode, sentence: String) -> Result<T, Denial> {
    Err(Denial::new(code, sentence))
}

fn evidence_of(seen: &GateEvidence) -> Evidence {
    let quotes = seen.quotes.iter().map(|quote| QuoteEvidence {
        con_id: quote.con_id,
        bid: quote.bid,
        ask: quote.ask,
        quote_time: quote.quote_time,
        fresh: quote.fresh,
        live: quote.live,
        fair: quote.fair,
        fair_error: quote.fair_error,
    });
    let limits = seen.limits.iter().map(|limit| LimitEvidence {
        limit: limit.limit.clone(),
        before_milli: limit.before_milli,
        after_milli: limit.after_milli,
        bound_milli: limit.bound_milli,
    });
    Evidence {
        view_version: seen.view_version,
        quotes: quotes.collect(),
        limits: limits.collect(),
        kernel: seen.kernel.clone(),
        trading_state: seen.trading_state,
        halt_epoch: seen.halt_epoch,
        link_ready: seen.link_ready,
    }
}
