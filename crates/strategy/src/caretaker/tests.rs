//! What becomes of a quarantined strategy's positions, by policy; and random days: a caretaker
//! never opens, never storms the desk, and ends flat when it is let.

use super::*;
use crate::fixture::{
    Desk, at, catalog, future, intents, keys, only, positions_of, spoil, tome, view, view_with,
};
use crate::strategy::Strategy as _;
use market::instrument::InstrumentKind;
use proptest::prelude::*;
use proptest::strategy::Strategy;
use std::collections::{BTreeMap, BTreeSet};
use trading::denial::{Denial, DenialCode};
use trading::id::IntentKey;
use trading::trading_state::TradingState;

const CALL: u32 = 1100;
const PUT: u32 = 2100;
const STOCK: u32 = 1;

fn caretaker(name: &str, policy: QuarantinePolicy, underlying: InstrumentKind) -> Caretaker {
    let catalog = catalog(underlying);
    let mut tome = tome(name);
    tome.quarantine_policy = policy;
    Caretaker::new(&tome, &catalog, keys(name, 3)).unwrap()
}

fn desk_of(machine: Caretaker, held: &[(u32, i64)]) -> Desk {
    let mut desk = Desk::new(Box::new(machine));
    desk.positions = held.iter().map(|(id, held)| (ConId(*id), Quantity(*held))).collect();
    assert!(desk.tell(StrategyEvent::StateChanged(TradingState::ReduceOnly)).is_empty());
    assert!(desk.attach(Vec::new()).is_empty(), "there is no view yet");
    desk
}

fn desk(name: &str, policy: QuarantinePolicy, held: &[(u32, i64)]) -> Desk {
    desk_of(caretaker(name, policy, InstrumentKind::Stock), held)
}

fn market(seconds: u64) -> MarketView {
    view(&catalog(InstrumentKind::Stock), 100.0, at(seconds))
}

const SCALPER: &str = "gamma_scalper_sim";
const SPREAD: &str = "credit_spread_simx";

fn deny(desk: &mut Desk, intent: &Intent) -> Vec<Intent> {
    let denial = Denial::new(DenialCode::ReduceOnly, String::new());
    desk.tell(StrategyEvent::Outcome { key: intent.key.clone(), outcome: Outcome::Denied(denial) })
}

#[test]
fn flatten_closes_the_whole_as_one_combo() {
    let mut desk = desk(SCALPER, QuarantinePolicy::Flatten, &[(CALL, 4), (PUT, 4), (STOCK, -38)]);
    let view = market(1);
    let exit = only(desk.show(1, &view));
    assert_eq!(exit.purpose, Purpose::Exit);
    assert_eq!(positions_of(&exit.target), [(STOCK, 0), (CALL, 0), (PUT, 0)]);
    let ratios: Vec<i32> = exit.target.contract().legs().iter().map(|leg| leg.ratio).collect();
    assert_eq!(ratios, [-19, 2, 2]);
    assert!(desk.fill(&exit, &view).is_empty());
    assert!(desk.positions.is_empty());
    assert!(desk.show(1_000, &market(1_000)).is_empty(), "flat is flat");
}

#[test]
fn what_is_denied_as_a_whole_is_closed_singly_the_sold_legs_first() {
    let mut desk = desk(SPREAD, QuarantinePolicy::Flatten, &[(2096, -2), (2090, 2)]);
    let whole = only(desk.show(1, &market(1)));
    assert_eq!(positions_of(&whole.target).len(), 2);
    assert!(deny(&mut desk, &whole).is_empty(), "a pause lies between two wishes");
    let sold = only(desk.show(300, &market(300)));
    assert_eq!(positions_of(&sold.target), [(2096, 0)]);
}

#[test]
fn a_way_that_does_not_fill_gives_place_to_the_next() {
    let mut desk = desk(SPREAD, QuarantinePolicy::Flatten, &[(2096, -2), (2090, 2)]);
    let mut legs = Vec::new();
    for round in 0..4 {
        let seconds = 1 + round * 1_000;
        let exit = only(desk.show(seconds, &market(seconds)));
        legs.push(positions_of(&exit.target).len());
        desk.now = at(seconds + 900);
        desk.end(&exit, EndState::Canceled, Quantity::ZERO);
    }
    assert_eq!(legs, [2, 2, 1, 1]);
}

#[test]
fn hold_never_wishes_for_anything() {
    let mut desk = desk(SCALPER, QuarantinePolicy::Hold, &[(CALL, 3), (STOCK, 500)]);
    for seconds in 1..100 {
        assert!(desk.show(seconds * 60, &market(seconds * 60)).is_empty());
    }
}

#[test]
fn hedge_trades_the_underlying_only_and_only_outside_the_band() {
    // A call at the money has a delta of a half: 150 shares, the band is 15.
    let tome = tome(SCALPER);
    let Parameters::GammaScalper(own) = &tome.parameters else { panic!("a scalper") };
    let inside = -150 + own.hedge_band_units as i64;
    let policy = QuarantinePolicy::Hedge;
    let mut balanced = desk(SCALPER, policy, &[(CALL, 3), (STOCK, inside)]);
    assert!(balanced.show(1, &market(1)).is_empty());
    let mut open = desk(SCALPER, policy, &[(CALL, 3), (STOCK, inside + 1)]);
    let hedge = only(open.show(1, &market(1)));
    assert_eq!(hedge.purpose, Purpose::Hedge);
    assert_eq!(positions_of(&hedge.target), [(STOCK, -150)]);
    let view = market(2);
    open.fill(&hedge, &view);
    assert!(open.show(1_000, &market(1_000)).is_empty());
}

#[test]
fn a_strategy_without_a_band_is_kept_within_one_unit_of_the_hedge() {
    let held = [(2096, -2), (2090, 2)];
    let mut on_stock = desk(SPREAD, QuarantinePolicy::Hedge, &held);
    let hedge = only(on_stock.show(1, &market(1)));
    assert_eq!((positions_of(&hedge.target)[0].0, hedge.purpose), (STOCK, Purpose::Hedge));
    // Of a future with the options' multiplier the spread's delta is less than one.
    let machine = caretaker(SPREAD, QuarantinePolicy::Hedge, future());
    let view = view(&catalog(future()), 100.0, at(1));
    assert!(desk_of(machine, &held).show(1, &view).is_empty());
    // And an index can't be traded at all.
    let machine = caretaker(SPREAD, QuarantinePolicy::Hedge, InstrumentKind::Index);
    let view = view_with(&catalog(InstrumentKind::Index), 100.0, 4.0, at(1));
    assert!(desk_of(machine, &held).show(1, &view).is_empty());
}

#[test]
fn stale_data_an_unattached_desk_and_a_halt_stop_it() {
    let held = [(CALL, 2)];
    let mut stale = desk(SCALPER, QuarantinePolicy::Flatten, &held);
    let mut flawed = market(1);
    spoil(&mut flawed, CALL);
    assert!(stale.show(1, &flawed).is_empty());
    assert_eq!(stale.show(2, &market(2)).len(), 1);

    let machine = caretaker(SCALPER, QuarantinePolicy::Flatten, InstrumentKind::Stock);
    assert!(Desk::new(Box::new(machine)).show(1, &market(1)).is_empty());

    let mut halted = desk(SCALPER, QuarantinePolicy::Flatten, &held);
    halted.tell(StrategyEvent::StateChanged(TradingState::Halted));
    assert!(halted.show(1, &market(1)).is_empty());
    assert_eq!(halted.tell(StrategyEvent::StateChanged(TradingState::ReduceOnly)).len(), 1);
}

#[test]
fn an_order_of_the_strategy_that_may_still_live_is_waited_for() {
    let machine = caretaker(SCALPER, QuarantinePolicy::Flatten, InstrumentKind::Stock);
    let mut desk = Desk::new(Box::new(machine));
    desk.positions = BTreeMap::from([(ConId(CALL), Quantity(2))]);
    let key = IntentKey { seq: 9, ..keys(SCALPER, 3).draw().unwrap() };
    let live = crate::strategy::LiveIntent {
        key: key.clone(),
        target: trading::intent::Target::Single { con_id: ConId(CALL), position: Quantity(0) },
        remaining: Quantity(2),
        unknown: true,
    };
    let positions = desk.positions.clone();
    desk.tell(StrategyEvent::Attached { positions, live: vec![live], next_seq: 10 });
    assert!(desk.show(5_000, &market(5_000)).is_empty(), "an Unknown order has no end of its own");
    desk.now = at(5_001);
    let exits = desk.tell(StrategyEvent::Outcome { key, outcome: Outcome::Abandoned });
    assert_eq!(only(exits).key.seq, 10, "keys go on where the desk says");
}

#[derive(Clone, Debug)]
enum Step {
    Market { seconds: u16, spot: f64, spoiled: u32 },
    Attach,
    Fill,
    Deny,
    End(EndState),
    State(TradingState),
}

fn step() -> impl Strategy<Value = Step> {
    let ends = prop_oneof![
        Just(EndState::Canceled),
        Just(EndState::Expired),
        Just(EndState::Rejected),
        Just(EndState::Inactive)
    ];
    let states = prop_oneof![
        4 => Just(TradingState::ReduceOnly),
        1 => Just(TradingState::Active),
        1 => Just(TradingState::Halted)
    ];
    prop_oneof![
        8 => (1_u16..2_000, 92.0..108.0_f64, 2080_u32..2120)
            .prop_map(|(seconds, spot, spoiled)| Step::Market { seconds, spot, spoiled }),
        1 => Just(Step::Attach),
        4 => Just(Step::Fill),
        2 => Just(Step::Deny),
        2 => ends.prop_map(Step::End),
        1 => states.prop_map(Step::State),
    ]
}

fn held() -> impl Strategy<Value = BTreeMap<u32, i64>> {
    let ids = prop_oneof![Just(STOCK), Just(CALL), Just(PUT), Just(1104), Just(2096), Just(3100)];
    prop::collection::btree_map(ids, (-5_i64..6).prop_filter("held", |held| *held != 0), 0..6)
}

fn policy() -> impl Strategy<Value = QuarantinePolicy> {
    prop_oneof![
        1 => Just(QuarantinePolicy::Hold),
        2 => Just(QuarantinePolicy::Hedge),
        4 => Just(QuarantinePolicy::Flatten)
    ]
}

/// Between two wishes at least as long as the strategy itself waits after a failure.
fn pause() -> Duration {
    let Parameters::GammaScalper(own) = tome(SCALPER).parameters else {
        panic!("the scalper's tome describes another strategy")
    };
    Duration::from_secs(u64::from(own.order.backoff_first_seconds))
}

struct World {
    policy: QuarantinePolicy,
    catalog: Catalog,
    desk: Desk,
    seconds: u64,
    view: MarketView,
    working: Option<Intent>,
    state: TradingState,
    last: Option<(IntentKey, Timestamp)>,
    seen: BTreeSet<IntentKey>,
    next_seq: u32,
}

impl World {
    fn new(policy: QuarantinePolicy, held: &BTreeMap<u32, i64>) -> Self {
        let catalog = catalog(InstrumentKind::Stock);
        let held: Vec<(u32, i64)> = held.iter().map(|(id, held)| (*id, *held)).collect();
        Self {
            policy,
            desk: desk(SCALPER, policy, &held),
            seconds: 0,
            view: view(&catalog, 100.0, at(0)),
            catalog,
            working: None,
            state: TradingState::ReduceOnly,
            last: None,
            seen: BTreeSet::new(),
            next_seq: 1,
        }
    }

    fn take(&mut self, step: Step) -> Vec<Intent> {
        match step {
            Step::Market { seconds, spot, spoiled } => {
                self.seconds += u64::from(seconds);
                self.view = view(&self.catalog, spot, at(self.seconds));
                spoil(&mut self.view, spoiled);
                let now = at(self.seconds).market;
                self.working.take_if(|intent| intent.valid_until < now);
                let view = self.view.clone();
                self.desk.show(self.seconds, &view)
            }
            Step::Attach => {
                self.working = None;
                let positions = self.desk.positions.clone();
                let (live, next_seq) = (Vec::new(), self.next_seq);
                self.desk.tell(StrategyEvent::Attached { positions, live, next_seq })
            }
            Step::Fill => {
                let view = self.view.clone();
                let fillable = |intent: &mut Intent| {
                    let quoted = |(id, _): &(ConId, Quantity)| {
                        view.line(*id).is_some_and(|line| line.quote().mid().is_some())
                    };
                    intent.target.positions().iter().all(quoted)
                };
                let Some(intent) = self.working.take_if(fillable) else { return Vec::new() };
                self.desk.fill(&intent, &view)
            }
            Step::Deny => {
                let Some(intent) = self.working.take() else { return Vec::new() };
                deny(&mut self.desk, &intent)
            }
            Step::End(end) => {
                let Some(intent) = self.working.take() else { return Vec::new() };
                self.desk.end(&intent, end, Quantity::ZERO)
            }
            Step::State(state) => {
                self.state = state;
                self.desk.tell(StrategyEvent::StateChanged(state))
            }
        }
    }

    fn check(&mut self, intent: Intent) -> Result<(), TestCaseError> {
        prop_assert!(self.state < TradingState::Halted);
        prop_assert!(intent.purpose != Purpose::Entry);
        prop_assert!(self.policy != QuarantinePolicy::Hold);
        prop_assert!(self.working.is_none(), "one wish at a time");
        prop_assert!(self.seen.insert(intent.key.clone()) && intent.key.seq >= self.next_seq);
        self.next_seq = intent.key.seq + 1;
        if let Some((key, created)) = &self.last {
            prop_assert!(*key < intent.key);
            prop_assert!(intent.created.since(*created) >= pause());
        }
        self.last = Some((intent.key.clone(), intent.created));
        for (id, wanted) in intent.target.positions() {
            match self.policy {
                QuarantinePolicy::Flatten => {
                    prop_assert!(wanted.is_zero());
                    prop_assert!(self.desk.positions.contains_key(&id));
                }
                QuarantinePolicy::Hedge => prop_assert_eq!(id, ConId(STOCK)),
                QuarantinePolicy::Hold => {}
            }
            let line = self.view.line(id).unwrap();
            prop_assert_eq!(line.state(), valuation::view::DataState::Fresh);
        }
        self.working = Some(intent);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn it_opens_nothing_storms_nobody_and_flattens_when_it_is_let(
        policy in policy(),
        held in held(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut world = World::new(policy, &held);
        for step in steps {
            for intent in world.take(step) {
                world.check(intent)?;
            }
        }
        // From here on the market is sound and every wish is filled.
        let calm = [Step::State(TradingState::ReduceOnly), Step::Attach];
        let rounds = (0..40).flat_map(|_| {
            [Step::Market { seconds: 1_500, spot: 100.0, spoiled: 9_999 }, Step::Fill]
        });
        for step in calm.into_iter().chain(rounds) {
            for intent in world.take(step) {
                world.check(intent)?;
            }
        }
        match policy {
            QuarantinePolicy::Flatten => prop_assert!(world.desk.positions.is_empty()),
            QuarantinePolicy::Hold | QuarantinePolicy::Hedge => {
                let without_stock = |all: BTreeMap<u32, i64>| -> Vec<(u32, i64)> {
                    all.into_iter().filter(|(id, _)| *id != STOCK).collect()
                };
                let now = world.desk.positions.iter().map(|(id, held)| (id.0, held.0)).collect();
                prop_assert_eq!(without_stock(now), without_stock(held));
            }
        }
    }
}

#[test]
fn it_keeps_nothing_and_its_effects_are_wishes_only() {
    let mut machine = caretaker(SCALPER, QuarantinePolicy::Flatten, InstrumentKind::Stock);
    assert!(machine.durable().is_empty());
    // A stranger would quarantine the strategy; here it is what there is nothing to do about.
    let positions = BTreeMap::from([(ConId(77), Quantity(1)), (ConId(CALL), Quantity(1))]);
    let attached = StrategyEvent::Attached { positions, live: Vec::new(), next_seq: 1 };
    assert!(machine.on(attached, at(1)).is_empty());
    let view = market(2);
    let effects = machine.on(StrategyEvent::Market(&view), at(2));
    assert_eq!(effects.len(), 1);
    assert_eq!(positions_of(&only(intents(effects)).target), [(CALL, 0)]);
}
