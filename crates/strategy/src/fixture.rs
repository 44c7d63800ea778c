//! Hand-made products and market views for the tests of this room.
//!
//! One underlying (con id 1) and two expiries of even strikes from 80 to 120: calls at 1000 +
//! strike and puts at 2000 + strike in 30 days, those of 60 days 2000 further up. Values come from
//! a simple formula that respects parity; they only have to be plausible.

use crate::strategy::KeySource;
use crate::strategy::{LiveIntent, Outcome, Strategy, StrategyEffect, StrategyEvent};
use crate::tome::Tome;
use market::instrument::{
    Catalog, ConId, Deliverable, ExerciseStyle, Fixing, FutureTerms, Instrument, InstrumentKind,
    OptionTerms, Right, Settlement, TickRule,
};
use market::money::{Currency, Multiplier, Price, Quantity};
use market::quote::Side;
use market::quote::{Level, Quote};
use market::time::{Date, Now, ProcessTime, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trading::id::{Epoch, ExecId, InstallId, IntentKey, OrderId, PermId, StrategyId};
use trading::intent::{Intent, Target};
use trading::order::signed_legs;
use trading::report::{EndState, Fill};
use valuation::view::{
    ChainView, DataState, FairValue, MarketView, OptionLine, RegimeView, UnderlyingLine, UnitGreeks,
};

pub(crate) const START: Timestamp = Timestamp::from_seconds(1_600_000_000);

pub(crate) fn at(seconds: u64) -> Now {
    Now {
        market: START.plus(Duration::from_secs(seconds)),
        process: ProcessTime::from_nanos(seconds * 1_000_000_000),
    }
}

pub(crate) fn days(days: u64) -> u64 {
    days * 86_400
}

fn last_trade(days: u32) -> Timestamp {
    START.plus(Duration::from_secs(u64::from(days) * 86_400))
}

fn instrument(id: u32, multiplier: u32, kind: InstrumentKind) -> Instrument {
    Instrument {
        con_id: ConId(id),
        symbol: "TEST".into(),
        local_symbol: format!("TEST {id}"),
        exchange: "SMART".into(),
        currency: Currency::USD,
        multiplier: Multiplier(multiplier),
        tick: TickRule::bands(vec![
            (Price::ZERO, Price::from_micros(10_000)),
            (Price::from_units(3), Price::from_micros(50_000)),
        ])
        .unwrap(),
        trading_class: "TEST".into(),
        kind,
    }
}

/// A product on a stock (multiplier 1), an index, or a future (with the options' multiplier).
pub(crate) fn catalog(underlying: InstrumentKind) -> Catalog {
    let on_future = matches!(underlying, InstrumentKind::Future(_));
    let (own, options) = if on_future { (50, 50) } else { (1, 100) };
    let mut catalog = Catalog::default();
    let mut first = instrument(1, own, underlying);
    first.tick = TickRule::flat(Price::from_micros(10_000));
    catalog.insert(first).unwrap();
    for (base, until) in [(1000, 30), (3000, 60)] {
        for strike in (80..=120).step_by(2) {
            for (offset, right) in [(0, Right::Call), (1000, Right::Put)] {
                let terms = OptionTerms {
                    underlying: ConId(1),
                    right,
                    strike: Price::from_units(i64::from(strike)),
                    expiry: Date::new(2020, 9, 13).unwrap().plus_days(until),
                    last_trade: last_trade(until as u32),
                    style: ExerciseStyle::American,
                    settlement: Settlement::Physical,
                    fixing: Fixing::Pm,
                    deliverable: Deliverable::Standard,
                };
                let kind = if on_future {
                    InstrumentKind::FutureOption(terms)
                } else {
                    InstrumentKind::Option(terms)
                };
                catalog.insert(instrument(base + offset + strike, options, kind)).unwrap();
            }
        }
    }
    catalog
}

pub(crate) fn future() -> InstrumentKind {
    InstrumentKind::Future(FutureTerms {
        expiry: Date::new(2020, 12, 18).unwrap(),
        last_trade: last_trade(90),
        settlement: Settlement::Cash,
        fixing: Fixing::Am,
    })
}

fn quote(mid: f64, half_spread: f64, tick: &TickRule, time: Timestamp) -> Quote {
    let level = |price: Price| Some(Level { price, size: 10 });
    let bid = tick.round_down(Price::from_f64((mid - half_spread).max(0.01)).unwrap());
    let ask = tick.round_up(Price::from_f64(mid + half_spread).unwrap());
    Quote { bid: level(bid), ask: level(ask), time }
}

/// The market with the underlying at `spot`, everything fresh.
pub(crate) fn view(catalog: &Catalog, spot: f64, now: Now) -> MarketView {
    view_with(catalog, spot, 4.0, now)
}

/// The same, with options worth `time_value` more than intrinsic at the money.
pub(crate) fn view_with(catalog: &Catalog, spot: f64, time_value: f64, now: Now) -> MarketView {
    let time = now.market;
    let mut chains: BTreeMap<(ConId, Date), ChainView> = BTreeMap::new();
    let mut underlyings = Vec::new();
    for one in catalog.iter() {
        let Some(terms) = one.option() else {
            underlyings.push(UnderlyingLine {
                con_id: one.con_id,
                quote: quote(spot, 0.01, &one.tick, time),
                state: DataState::Fresh,
            });
            continue;
        };
        if terms.last_trade <= time {
            continue;
        }
        let strike = terms.strike.to_f64();
        let call = terms.right == Right::Call;
        let sign = if call { 1.0 } else { -1.0 };
        let value =
            (sign * (spot - strike)).max(0.0) + time_value * (-(spot - strike).abs() / 6.0).exp();
        let call_delta = 1.0 / (1.0 + (-(spot - strike) / 5.0).exp());
        let line = OptionLine {
            con_id: one.con_id,
            right: terms.right,
            strike: terms.strike,
            quote: quote(value, 0.02, &one.tick, time),
            state: DataState::Fresh,
            implied_vol: Some(0.2),
            fair: None,
            greeks: Some(UnitGreeks {
                delta: if call { call_delta } else { call_delta - 1.0 },
                gamma: 0.05,
                vega: 10.0,
                theta: -10.0,
                rho: 5.0,
            }),
        };
        let chain = chains.entry((terms.underlying, terms.expiry)).or_insert_with(|| ChainView {
            underlying: terms.underlying,
            expiry: terms.expiry,
            last_trade: terms.last_trade,
            years: time.years_until(terms.last_trade),
            forward: spot,
            discount: 1.0,
            at_the_money_vol: Some(0.2),
            lines: Vec::new(),
            version: 1,
            time,
        });
        chain.lines.push(line);
    }
    MarketView {
        symbol: "TEST".into(),
        version: now.process.nanos() / 1_000_000_000 + 1,
        time,
        underlyings,
        chains: chains.into_iter().map(|(key, chain)| (key, Arc::new(chain))).collect(),
        surface: None,
        regime: RegimeView {
            realised_vol: Some(0.2),
            implied_vol: Some(0.2),
            fresh_share: Some(1.0),
        },
    }
}

/// Marks one option of a view as not tradable.
pub(crate) fn spoil(view: &mut MarketView, id: u32) {
    for chain in view.chains.values_mut() {
        for line in &mut Arc::make_mut(chain).lines {
            if line.con_id == ConId(id) {
                line.state = DataState::Flawed;
                line.quote.bid = None;
            }
        }
    }
}

/// Gives every option of a view a model value `above` its mid, with a standard error.
pub(crate) fn model(view: &mut MarketView, above: f64, standard_error: f64) {
    for chain in view.chains.values_mut() {
        for line in &mut Arc::make_mut(chain).lines {
            let price = line.quote.mid().unwrap().to_f64() + above;
            line.fair = Some(FairValue { price, standard_error, vol: 0.2 });
        }
    }
}

pub(crate) fn keys(name: &str, epoch: u32) -> KeySource {
    KeySource {
        install: InstallId(7),
        epoch: Epoch(epoch),
        strategy: StrategyId::new(name).unwrap(),
        next_seq: 1,
    }
}

/// A shipped tome, made to trade the test product.
pub(crate) fn tome(name: &str) -> Tome {
    let path = format!("{}/../../config/strategies/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut tome = Tome::parse(&format!("{name}.json"), &text).unwrap();
    tome.symbol = "TEST".into();
    tome
}

/// A little desk: it holds a strategy's position and fills what it is told to fill.
pub(crate) struct Desk {
    pub(crate) strategy: Box<dyn Strategy>,
    pub(crate) positions: BTreeMap<ConId, Quantity>,
    pub(crate) now: Now,
    executions: u32,
}

impl Desk {
    pub(crate) fn new(strategy: Box<dyn Strategy>) -> Self {
        Self { strategy, positions: BTreeMap::new(), now: at(0), executions: 0 }
    }

    pub(crate) fn attach(&mut self, live: Vec<LiveIntent>) -> Vec<Intent> {
        let positions = self.positions.clone();
        self.tell(StrategyEvent::Attached { positions, live, next_seq: 1 })
    }

    pub(crate) fn tell(&mut self, event: StrategyEvent<'_>) -> Vec<Intent> {
        intents(self.strategy.on(event, self.now))
    }

    pub(crate) fn show(&mut self, seconds: u64, view: &MarketView) -> Vec<Intent> {
        self.now = at(seconds);
        self.tell(StrategyEvent::Market(view))
    }

    /// Fills an intent whole at its limit, or at `leg_price` each for combos.
    pub(crate) fn fill(&mut self, intent: &Intent, view: &MarketView) -> Vec<Intent> {
        let contract = intent.target.contract();
        let (first, wanted) = intent.target.positions()[0];
        let held = self.positions.get(&first).copied().unwrap_or_default();
        let ratio = contract.legs()[0].ratio;
        let units = (wanted.0 - held.0) / i64::from(ratio);
        let side = if units > 0 { Side::Buy } else { Side::Sell };
        let mut out = Vec::new();
        for (con_id, signed) in signed_legs(&contract, side, Quantity(units.abs())) {
            let mid = view.line(con_id).unwrap().quote().mid().unwrap();
            let leg_side = if signed.0 > 0 { Side::Buy } else { Side::Sell };
            out.extend(self.execute(con_id, leg_side, signed.abs(), mid, &intent.key));
        }
        out.extend(self.end(intent, EndState::Filled, Quantity(units.abs())));
        out
    }

    pub(crate) fn execute(
        &mut self,
        con_id: ConId,
        side: Side,
        quantity: Quantity,
        price: Price,
        key: &IntentKey,
    ) -> Vec<Intent> {
        self.executions += 1;
        let fill = Fill {
            exec_id: ExecId(format!("e{}.01", self.executions)),
            order_id: OrderId(1),
            perm_id: PermId(1),
            reference: key.to_string(),
            con_id,
            side,
            quantity,
            price,
            time: self.now.market,
            combo_leg: true,
        };
        let position = self.positions.entry(con_id).or_default();
        position.0 += side.sign() * quantity.0;
        self.positions.retain(|_, quantity| !quantity.is_zero());
        self.tell(StrategyEvent::Filled { fill: &fill })
    }

    pub(crate) fn end(&mut self, intent: &Intent, end: EndState, filled: Quantity) -> Vec<Intent> {
        let outcome = Outcome::Ended { end, filled };
        self.tell(StrategyEvent::Outcome { key: intent.key.clone(), outcome })
    }
}

pub(crate) fn intents(effects: Vec<StrategyEffect>) -> Vec<Intent> {
    let intent = |effect| match effect {
        StrategyEffect::Intent(intent) => Some(intent),
        StrategyEffect::Durable | StrategyEffect::Quarantine(_) => None,
    };
    effects.into_iter().filter_map(intent).collect()
}

pub(crate) fn only(mut intents: Vec<Intent>) -> Intent {
    assert_eq!(intents.len(), 1, "{intents:#?}");
    intents.remove(0)
}

pub(crate) fn positions_of(target: &Target) -> Vec<(u32, i64)> {
    target.positions().into_iter().map(|(id, quantity)| (id.0, quantity.0)).collect()
}
