//! The gate: the only maker of a [`Cleared`] order. It checks, in one call, everything that must
//! hold before an order may leave, and says on what evidence.
//!
//! The order of the checks is the order of the answers: trading state, link, the contract, fresh
//! data, tick, the proof that it lowers risk. A risk-reducing order then has only its own size,
//! rate and collar to keep to, and passes under ReduceOnly, around an expected downtime of the
//! broker and when cognition, performance or the day's loss say no. Every other order needs three
//! approvals and keeps to all limits. A figure that was outside its limit before the order may stay
//! there, it may not grow. What is missing or not a number is denied, but that a risk-reducing
//! order without a model value keeps to the quoted mid's collar alone.
//!
//! Not here: netting, keys and reservations (desk), making the cognition approval (cognition).

use crate::cleared::Cleared;
use crate::collar;
use crate::evidence::{GateEvidence, LimitSeen, QuoteSeen};
use crate::exposure::{Exposure, PendingKind, PendingOrder};
use crate::figures::fills_of;
use crate::limits::Limits;
use crate::order_rate::{DuplicateWindow, RateWindow};
use crate::reduction;
use crate::valuing::{Unavailable, Valuing};
use crate::worst_case::clamped;
use market::instrument::{Catalog, ConId, InstrumentKind};
use market::money::{Money, Price, Quantity};
use market::time::Now;
use std::collections::BTreeSet;
use std::time::Duration;
use trading::approval::{Approval, Clearance, Layer};
use trading::denial::{Denial, DenialCode};
use trading::intent::Purpose;
use trading::order::{Order, OrderHash};
use trading::trading_state::{TradingState, TradingStates};
use valuation::view::{DataState, Line, Markets};

mod limit_checks;
#[cfg(test)]
mod tests;

/// More units than any order of this node; beyond it arithmetic isn't tried.
const QUANTITY_SANE: i64 = 1_000_000;
/// A limit price (in either direction) beyond which arithmetic isn't tried.
const PRICE_SANE: i64 = 10_000_000_000_000;

/// The result of the trading day so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DayResult {
    /// Realised, before fees.
    pub realised: Money,
    /// Unrealised at the marks; `None` when a mark is missing.
    pub unrealised: Option<Money>,
    /// Fees paid; positive.
    pub fees: Money,
}

impl DayResult {
    /// The loss in thousandths of a unit of currency, rounded up (a gain is negative); `None` when
    /// the unrealised part isn't known.
    #[must_use]
    pub fn loss_milli(&self) -> Option<i64> {
        let unrealised = i128::from(self.unrealised?.micros());
        let gain = i128::from(self.realised.micros()) + unrealised - i128::from(self.fees.micros());
        Some(clamped(-gain.div_euclid(1000)))
    }
}

/// Everything that one decision rests on.
#[derive(Clone, Debug)]
pub struct GateInput<'a> {
    /// The order as it would be sent.
    pub order: &'a Order,
    /// What the strategy says it is for. An entry never claims to lower risk.
    pub purpose: Purpose,
    /// For a modify: the units that may still fill, the larger of the old and the new order's.
    pub is_modify_of_remaining: Option<Quantity>,
    /// The account's exposure without this order; for a modify, without the old one.
    pub exposure: &'a Exposure,
    /// The views.
    pub markets: &'a Markets,
    /// The instruments.
    pub catalog: &'a Catalog,
    /// The trading states.
    pub states: &'a TradingStates,
    /// The broker link is reconciled.
    pub link_ready: bool,
    /// The day's result.
    pub day: DayResult,
    /// Margin in use by the broker's account; zero where it isn't known (the own estimate counts).
    pub margin_used: Money,
    /// Cognition's answer for this order.
    pub cognition: Result<Approval, Denial>,
    /// Performance's answer for this order.
    pub performance: Result<Approval, Denial>,
    /// The contract's session is open.
    pub session_open: bool,
    /// Why no entries are wanted around this time (an expected downtime of the broker), if none
    /// are.
    pub entries_frozen: Option<String>,
    /// The desk's generation.
    pub desk_generation: u32,
    /// Now.
    pub now: Now,
}

/// The gate of one account. It remembers only what was cleared within the last windows.
#[derive(Clone, Debug)]
pub struct Gate {
    limits: Limits,
    kernel: String,
    rate: RateWindow,
    reducing_rate: RateWindow,
    sent: DuplicateWindow,
}

/// What the checks share once the contract is known.
struct Facts<'a> {
    valuing: Valuing<'a>,
    symbols: BTreeSet<&'a str>,
    /// This order as one that may fill.
    pending: PendingOrder,
    legs: Vec<(ConId, i64)>,
}

fn denied<T>(code: DenialCode, sentence: String) -> Result<T, Denial> {
    Err(Denial::new(code, sentence))
}

fn unavailable(cause: Unavailable) -> Denial {
    Denial::new(DenialCode::RiskUnavailable, cause.to_string())
}

impl Gate {
    /// A gate with these (validated) limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            kernel: "unnamed".to_owned(),
            rate: RateWindow::default(),
            reducing_rate: RateWindow::default(),
            sent: DuplicateWindow::default(),
        }
    }

    /// The same gate, with the name of the pricing kernel that its evidence states.
    #[must_use]
    pub fn with_kernel(mut self, kernel: &str) -> Self {
        kernel.clone_into(&mut self.kernel);
        self
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Clears the order, or says why not. A cleared order counts at once in the order rates and the
    /// duplicate window.
    #[expect(clippy::result_large_err, reason = "a denial is rare and its evidence is wanted")]
    pub fn clear(
        &mut self,
        input: GateInput<'_>,
    ) -> Result<Cleared<Order>, (Denial, GateEvidence)> {
        let hash = input.order.canonical_hash();
        let mut evidence = GateEvidence {
            kernel: self.kernel.clone(),
            halt_epoch: input.states.halt_epoch,
            link_ready: input.link_ready,
            ..GateEvidence::default()
        };
        match self.decide(&input, hash, &mut evidence) {
            Ok(approved) => {
                let (order, now) = (input.order.clone(), input.now.process);
                let generation = input.desk_generation;
                Ok(Cleared::new(order, hash, approved, evidence, generation, now))
            }
            Err(denial) => Err((denial, evidence)),
        }
    }

    fn decide(
        &mut self,
        input: &GateInput<'_>,
        hash: OrderHash,
        evidence: &mut GateEvidence,
    ) -> Result<(Clearance, Vec<Approval>), Denial> {
        evidence.trading_state = trading_state(input);
        let halted = evidence.trading_state == TradingState::Halted;
        if halted && !mutation::active("skip_halt_check") {
            return denied(DenialCode::Halted, "trading is halted; resume releases it".to_owned());
        }
        if !input.link_ready {
            let sentence = "the broker link is not reconciled".to_owned();
            return denied(DenialCode::NotReady, sentence);
        }
        let facts = self.tradable(input)?;
        fresh(&facts, input.markets, evidence)?;
        let tick = collar::increment(facts.valuing, &input.order.contract, input.order.limit)
            .map_err(unavailable)?;
        if input.order.limit.micros().rem_euclid(tick.micros()) != 0 {
            let sentence = format!("{} is not a multiple of {tick}", input.order.limit);
            return denied(DenialCode::PriceIncrement, sentence);
        }
        let now = input.now.process;
        let window = Duration::from_millis(self.limits.duplicate_window_ms);
        self.sent.forget(window, now);
        if let Some(proof) = self.lowers_risk(&facts, input)? {
            evidence.limits.extend(proof);
            self.check_reducing(&facts, input, evidence)?;
            self.reducing_rate.record(now);
            self.sent.record(input.order, now);
            let approvals = vec![risk_approval(hash, evidence)];
            return Ok((Clearance::RiskReducing, approvals));
        }
        if evidence.trading_state == TradingState::ReduceOnly {
            let sentence =
                "only orders that provably lower risk pass, this one does not".to_owned();
            return denied(DenialCode::ReduceOnly, sentence);
        }
        if let Some(why) = &input.entries_frozen {
            return denied(DenialCode::BrokerDowntime, why.clone());
        }
        let cognition = bound(&input.cognition, Layer::Cognition, hash)?;
        let performance = bound(&input.performance, Layer::Performance, hash)?;
        self.check_full(&facts, input, evidence)?;
        self.rate.record(now);
        self.sent.record(input.order, now);
        Ok((Clearance::Full, vec![cognition, risk_approval(hash, evidence), performance]))
    }

    /// The order is well formed and its contract is known and trades now.
    fn tradable<'a>(&self, input: &GateInput<'a>) -> Result<Facts<'a>, Denial> {
        let order = input.order;
        let open = input.is_modify_of_remaining.unwrap_or(order.quantity);
        for quantity in [order.quantity, open] {
            if !(1..=QUANTITY_SANE).contains(&quantity.0) {
                let sentence = format!("an order for {quantity} units can't be meant");
                return denied(DenialCode::QuantityLimit, sentence);
            }
        }
        if order.limit.micros().unsigned_abs() > PRICE_SANE as u64 {
            let sentence = format!("a limit of {} can't be meant", order.limit);
            return denied(DenialCode::CollarQuote, sentence);
        }
        if order.valid_until <= input.now.market {
            let sentence = format!("it was valid until {}", order.valid_until);
            return denied(DenialCode::IntentExpired, sentence);
        }
        let mut symbols = BTreeSet::new();
        for leg in order.contract.legs() {
            let instrument = input
                .catalog
                .get(leg.con_id)
                .map_err(|error| Denial::new(DenialCode::UnknownContract, error.to_string()))?;
            let name = &instrument.local_symbol;
            if matches!(instrument.kind, InstrumentKind::Index) {
                let sentence = format!("{name} is an index and is never traded");
                return denied(DenialCode::NotTradable, sentence);
            }
            if instrument.last_trade().is_some_and(|end| end <= input.now.market) {
                let sentence = format!("{name} no longer trades");
                return denied(DenialCode::NotTradable, sentence);
            }
            if instrument.currency != self.limits.currency {
                let sentence = format!(
                    "{name} trades in {}, the limits are in {}",
                    instrument.currency, self.limits.currency
                );
                return denied(DenialCode::RiskUnavailable, sentence);
            }
            symbols.insert(instrument.symbol.as_str());
        }
        if !input.session_open {
            let sentence = format!("the session of {} is closed", order.contract);
            return denied(DenialCode::NotTradable, sentence);
        }
        let pending = PendingOrder {
            contract: order.contract.clone(),
            side: order.side,
            remaining: open,
            limit: order.limit,
            kind: PendingKind::Reserved,
            strategy: Some(order.key.strategy.clone()),
        };
        let legs = pending.signed_legs();
        let valuing = Valuing { catalog: input.catalog, markets: input.markets };
        Ok(Facts { valuing, symbols, pending, legs })
    }

    fn lowers_risk(
        &self,
        facts: &Facts<'_>,
        input: &GateInput<'_>,
    ) -> Result<Option<Vec<LimitSeen>>, Denial> {
        let mut symbols = facts.symbols.iter();
        let (Purpose::Exit | Purpose::Hedge, Some(symbol), None) =
            (input.purpose, symbols.next(), symbols.next())
        else {
            return Ok(None);
        };
        let fills = fills_of(facts.valuing, &input.exposure.fills(), symbol);
        let fills = fills.map_err(unavailable)?;
        reduction::prove(facts.valuing, &self.limits, symbol, &fills, &facts.legs)
            .map_err(unavailable)
    }
}

/// The strictest state over the order's symbols; a contract that isn't known counts for the account
/// and the strategy.
fn trading_state(input: &GateInput<'_>) -> TradingState {
    let strategy = &input.order.key.strategy;
    let legs = input.order.contract.legs();
    let symbols = legs.iter().filter_map(|leg| input.catalog.symbol(leg.con_id).ok());
    let states = symbols.map(|symbol| input.states.applying_to(symbol, strategy));
    states.fold(input.states.applying_to("", strategy), Ord::max)
}

/// The lines of every leg and of its underlying may be traded on.
fn fresh(facts: &Facts<'_>, markets: &Markets, evidence: &mut GateEvidence) -> Result<(), Denial> {
    let first = facts.symbols.iter().next();
    let view = first.and_then(|symbol| markets.get(*symbol));
    evidence.view_version = view.map_or(0, |view| view.version);
    let mut needed = Vec::new();
    for (con_id, _) in &facts.legs {
        let underlying = facts.valuing.group(*con_id).map_err(unavailable)?;
        needed.extend([*con_id, underlying]);
    }
    needed.sort_unstable();
    needed.dedup();
    for con_id in needed {
        let line = facts.valuing.line(con_id);
        let line = line.map_err(|cause| Denial::new(DenialCode::StaleData, cause.to_string()))?;
        evidence.quotes.push(quote_seen(con_id, line));
        if line.state() != DataState::Fresh && !mutation::active("skip_freshness") {
            let sentence = format!("the data of con {con_id} is {:?}, not Fresh", line.state());
            return denied(DenialCode::StaleData, sentence);
        }
    }
    Ok(())
}

fn quote_seen(con_id: ConId, line: Line<'_>) -> QuoteSeen {
    let fair = match line {
        Line::Option(option, _) => option.fair,
        Line::Underlying(_) => None,
    };
    let quote = line.quote();
    QuoteSeen {
        con_id,
        bid: quote.bid.map(|level| level.price),
        ask: quote.ask.map(|level| level.price),
        quote_time: quote.time,
        fresh: line.state() == DataState::Fresh,
        live: line.state() != DataState::NotLive,
        fair: fair.and_then(|fair| Price::from_f64(fair.price)),
        fair_error: fair.and_then(|fair| Price::from_f64(fair.standard_error)),
    }
}

/// Another layer's approval, if it is that layer's and for exactly this order.
fn bound(
    answer: &Result<Approval, Denial>,
    layer: Layer,
    hash: OrderHash,
) -> Result<Approval, Denial> {
    let approval = answer.clone()?;
    if approval.layer == layer && approval.order == hash {
        return Ok(approval);
    }
    let code = match layer {
        Layer::Performance => DenialCode::Uncertified,
        Layer::Cognition | Layer::Risk => DenialCode::DataQualityVeto,
    };
    denied(code, format!("the {layer:?} approval is not for this order"))
}

fn risk_approval(hash: OrderHash, evidence: &GateEvidence) -> Approval {
    let ground = |seen: &LimitSeen| {
        let (after, most) = (
            limit_checks::thousandths(seen.after_milli),
            limit_checks::thousandths(seen.bound_milli),
        );
        (seen.limit.clone(), format!("{after} of {most}"))
    };
    let grounds = evidence.limits.iter().map(ground).collect();
    Approval { layer: Layer::Risk, order: hash, grounds }
}
