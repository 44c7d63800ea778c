//! Whatever the market and the desk do, a built-in keeps its manners.

use crate::builtin::build;
use crate::fixture::{Desk, START, at, catalog, keys, spoil, tome, view_with};
use crate::strategy::{Outcome, StrategyEvent};
use crate::tome::Tome;
use market::instrument::{Catalog, ConId, InstrumentKind};
use market::money::{Price, Quantity};
use proptest::prelude::*;
use std::collections::BTreeMap;
use trading::denial::{Denial, DenialCode};
use trading::id::{IntentKey, OrderId};
use trading::intent::{Intent, Purpose, Target};
use trading::report::EndState;
use trading::trading_state::TradingState;

#[derive(Clone, Debug)]
enum Step {
    Market { seconds: u32, spot: f64, time_value: f64, spoiled: u32 },
    Attach,
    Fill(usize),
    Accept(usize),
    Deny(usize),
    End(usize, EndState),
    Abandon(usize),
    State(TradingState),
    Position(u32, i64),
    Wake(u32),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0_usize..8;
    let ends = prop_oneof![
        Just(EndState::Canceled),
        Just(EndState::Expired),
        Just(EndState::Rejected),
        Just(EndState::Inactive)
    ];
    let states = prop_oneof![
        4 => Just(TradingState::Active),
        1 => Just(TradingState::ReduceOnly),
        1 => Just(TradingState::Halted)
    ];
    let market = (1_u32..200_000, 88.0..112.0_f64, 0.5..8.0_f64, 2080_u32..2120);
    prop_oneof![
        6 => market.prop_map(|(seconds, spot, time_value, spoiled)| {
            Step::Market { seconds: seconds / 10, spot, time_value, spoiled }
        }),
        2 => Just(Step::Attach),
        4 => index.clone().prop_map(Step::Fill),
        1 => index.clone().prop_map(Step::Accept),
        1 => index.clone().prop_map(Step::Deny),
        1 => (index.clone(), ends).prop_map(|(at, end)| Step::End(at, end)),
        1 => index.prop_map(Step::Abandon),
        1 => states.prop_map(Step::State),
        1 => (prop_oneof![Just(1_u32), Just(1100), Just(2096)], -3_i64..4)
            .prop_map(|(id, quantity)| Step::Position(id, quantity)),
        1 => (1_u32..100).prop_map(Step::Wake),
        1 => Just(Step::Crash),
    ]
}

use proptest::strategy::Strategy;

struct World {
    tome: Tome,
    catalog: Catalog,
    desk: Desk,
    epoch: u32,
    attached: bool,
    state: TradingState,
    live: BTreeMap<IntentKey, Intent>,
    last: Option<IntentKey>,
    seconds: u64,
    view: market_view::View,
}

mod market_view {
    pub(super) type View = valuation::view::MarketView;
}

impl World {
    fn new(name: &str, underlying: InstrumentKind) -> Self {
        let catalog = catalog(underlying);
        let mut tome = tome(name);
        if let crate::tome::Parameters::CreditSpread(own) = &mut tome.parameters {
            (own.width, own.min_credit) = (4.0, 0.2);
        }
        let strategy = build(&tome, &catalog, keys(name, 1), None).unwrap();
        let view = view_with(&catalog, 100.0, 4.0, at(0));
        Self {
            tome,
            catalog,
            desk: Desk::new(strategy),
            epoch: 1,
            attached: false,
            state: TradingState::Active,
            live: BTreeMap::new(),
            last: None,
            seconds: 0,
            view,
        }
    }

    fn pick(&self, index: usize) -> Option<Intent> {
        self.live.values().nth(index % self.live.len().max(1)).cloned()
    }

    fn outcome(&mut self, index: usize, outcome: Outcome) -> Vec<Intent> {
        let Some(intent) = self.pick(index) else { return Vec::new() };
        if !matches!(outcome, Outcome::Accepted { .. }) {
            self.live.remove(&intent.key);
        }
        self.desk.tell(StrategyEvent::Outcome { key: intent.key, outcome })
    }

    fn take(&mut self, step: Step) -> Vec<Intent> {
        match step {
            Step::Market { seconds, spot, time_value, spoiled } => {
                self.seconds += u64::from(seconds);
                self.view = view_with(&self.catalog, spot, time_value, at(self.seconds));
                spoil(&mut self.view, spoiled);
                self.expire();
                let view = self.view.clone();
                self.desk.show(self.seconds, &view)
            }
            Step::Attach => {
                self.attached = true;
                self.live.clear();
                self.desk.attach(Vec::new())
            }
            Step::Fill(index) => {
                let Some(intent) = self.pick(index) else { return Vec::new() };
                let quoted = |(id, _): &(ConId, Quantity)| {
                    self.view.line(*id).is_some_and(|line| line.quote().mid().is_some())
                };
                if !intent.target.positions().iter().all(quoted) {
                    return Vec::new();
                }
                self.live.remove(&intent.key);
                let view = self.view.clone();
                self.desk.fill(&intent, &view)
            }
            Step::Accept(index) => self.outcome(index, Outcome::Accepted { order_id: OrderId(1) }),
            Step::Deny(index) => {
                let denial = Denial::new(DenialCode::DeltaLimit, String::new());
                self.outcome(index, Outcome::Denied(denial))
            }
            Step::End(index, end) => {
                self.outcome(index, Outcome::Ended { end, filled: Quantity::ZERO })
            }
            Step::Abandon(index) => self.outcome(index, Outcome::Abandoned),
            Step::State(state) => {
                self.state = state;
                self.desk.tell(StrategyEvent::StateChanged(state))
            }
            Step::Position(id, quantity) => {
                self.desk.positions.insert(ConId(id), Quantity(quantity));
                self.desk.positions.retain(|_, quantity| !quantity.is_zero());
                let positions = self.desk.positions.clone();
                self.desk.tell(StrategyEvent::PositionsChanged(positions))
            }
            Step::Wake(seconds) => {
                self.seconds += u64::from(seconds);
                self.desk.now = at(self.seconds);
                self.expire();
                self.desk.tell(StrategyEvent::Wake)
            }
            Step::Crash => {
                let durable = self.desk.strategy.durable();
                self.epoch += 1;
                let keys = keys(self.tome.id.as_str(), self.epoch);
                self.desk.strategy =
                    build(&self.tome, &self.catalog, keys, Some(&durable)).unwrap();
                self.attached = false;
                self.state = TradingState::Active;
                self.live.clear();
                Vec::new()
            }
        }
    }

    /// The desk cancels what is no longer valid; the strategy knows that by the time alone.
    fn expire(&mut self) {
        let now = at(self.seconds).market;
        self.live.retain(|_, intent| intent.valid_until >= now);
    }

    fn check(&mut self, intent: Intent) -> Result<(), TestCaseError> {
        prop_assert!(self.attached, "an intent before attached");
        prop_assert!(self.state != TradingState::Halted);
        prop_assert!(self.state == TradingState::Active || intent.purpose != Purpose::Entry);
        prop_assert!(self.last.as_ref().is_none_or(|last| *last < intent.key), "keys rise");
        self.last = Some(intent.key.clone());
        let touches = |other: &Intent| {
            let others = other.target.positions();
            intent.target.positions().iter().any(|(id, _)| others.iter().any(|(o, _)| o == id))
        };
        prop_assert!(!self.live.values().any(touches), "two live intents for one contract");
        let units = match &self.tome.parameters {
            crate::tome::Parameters::GammaScalper(own) => (own.units, own.hedge_max),
            crate::tome::Parameters::CreditSpread(own) => (own.units, 0),
        };
        let (bound, of_hedge) = (i64::from(units.0), i64::from(units.1));
        for (id, quantity) in intent.target.positions() {
            let most = if id == ConId(1) { of_hedge } else { bound };
            prop_assert!(quantity.0.abs() <= most, "{:?}", intent.target);
        }
        let cent = Price::from_micros(10_000);
        match &intent.target {
            Target::Single { con_id, .. } => {
                prop_assert!(self.catalog.get(*con_id).unwrap().tick.allows(intent.limit));
            }
            Target::Combo { .. } => {
                prop_assert_eq!(intent.limit.micros() % cent.micros(), 0);
            }
        }
        prop_assert!(intent.valid_until > intent.created && intent.created >= START);
        self.live.insert(intent.key.clone(), intent);
        Ok(())
    }
}

fn behaves(name: &str, underlying: InstrumentKind, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::new(name, underlying);
    for step in steps {
        for intent in world.take(step) {
            world.check(intent)?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_gamma_scalper_keeps_its_manners(steps in prop::collection::vec(step(), 1..60)) {
        behaves("gamma_scalper_sim", InstrumentKind::Stock, steps)?;
    }

    #[test]
    fn the_credit_spread_keeps_its_manners(steps in prop::collection::vec(step(), 1..60)) {
        behaves("credit_spread_simx", InstrumentKind::Stock, steps)?;
    }
}
