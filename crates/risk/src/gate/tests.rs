//! The gate row by row: every code that it can answer and the edge of every limit.

use super::*;
use crate::cleared::CLEARANCE_LIFE;
use crate::sample::{self, CALL_100, CALL_110, FUTURE, INDEX, PUT_90, PUT_100, STOCK};
use market::instrument::{Combo, Contract, Leg};
use market::money::Currency;
use market::quote::Side;
use market::time::{ProcessTime, Timestamp};
use std::collections::BTreeSet;
use trading::id::StrategyId;
use valuation::view::MarketView;

mod properties;
mod reducing;

/// Everything of one decision, owned; as it stands it clears.
#[derive(Clone, Debug)]
struct Scene {
    order: Order,
    purpose: Purpose,
    modify: Option<Quantity>,
    exposure: Exposure,
    markets: Markets,
    states: TradingStates,
    link_ready: bool,
    day: DayResult,
    margin_used: Money,
    cognition: Option<Denial>,
    performance: Option<Denial>,
    approval_of: Option<Order>,
    session_open: bool,
    entries_frozen: Option<String>,
    now: Now,
    limits: Limits,
}

fn scene() -> Scene {
    Scene {
        order: sample::buy_call(),
        purpose: Purpose::Entry,
        modify: None,
        exposure: Exposure::default(),
        markets: sample::markets(),
        states: TradingStates::default(),
        link_ready: true,
        day: DayResult { unrealised: Some(Money::ZERO), ..DayResult::default() },
        margin_used: Money::ZERO,
        cognition: None,
        performance: None,
        approval_of: None,
        session_open: true,
        entries_frozen: None,
        now: Now { market: sample::OPEN, process: ProcessTime::from_nanos(5_000_000_000) },
        limits: Limits::default(),
    }
}

type Answer = Result<Cleared<Order>, (Denial, GateEvidence)>;

#[expect(clippy::result_large_err, reason = "as the gate answers")]
impl Scene {
    fn clear_with(&self, gate: &mut Gate) -> Answer {
        let hash = self.approval_of.as_ref().unwrap_or(&self.order).canonical_hash();
        let answer = |denial: &Option<Denial>, layer| match denial {
            Some(denial) => Err(denial.clone()),
            None => Ok(Approval { layer, order: hash, grounds: vec![] }),
        };
        gate.clear(GateInput {
            order: &self.order,
            purpose: self.purpose,
            is_modify_of_remaining: self.modify,
            exposure: &self.exposure,
            markets: &self.markets,
            catalog: &sample::catalog(),
            states: &self.states,
            link_ready: self.link_ready,
            day: self.day,
            margin_used: self.margin_used,
            cognition: answer(&self.cognition, Layer::Cognition),
            performance: answer(&self.performance, Layer::Performance),
            session_open: self.session_open,
            entries_frozen: self.entries_frozen.clone(),
            desk_generation: 7,
            now: self.now,
        })
    }

    fn clear(&self) -> Answer {
        self.clear_with(&mut Gate::new(self.limits.clone()))
    }

    fn code(&self) -> Option<DenialCode> {
        self.clear().err().map(|(denial, _)| denial.code)
    }

    fn hold(&mut self, con_id: ConId, quantity: i64) {
        self.exposure.positions.insert(con_id, Quantity(quantity));
    }

    fn pend(&mut self, contract: Contract, side: Side, remaining: i64) {
        self.exposure.pending.push(PendingOrder {
            contract,
            side,
            remaining: Quantity(remaining),
            limit: Price::from_units(3),
            kind: PendingKind::Unknown,
            strategy: None,
        });
    }

    fn change(&mut self, con_id: ConId, change: impl Fn(&mut valuation::view::OptionLine)) {
        self.markets = sample::with_line(sample::view(), con_id, change);
    }

    fn change_view(&mut self, change: impl Fn(&mut MarketView)) {
        let mut view = sample::view();
        change(&mut view);
        self.markets = sample::markets_with(view);
    }
}

fn order(con_id: ConId, side: Side, quantity: i64, limit: &str) -> Order {
    sample::order(Contract::Single(con_id), side, quantity, limit)
}

fn spread() -> Contract {
    let legs = [(CALL_100, -1), (CALL_110, 1)];
    let legs = legs.map(|(con_id, ratio)| Leg { con_id, ratio });
    Contract::Combo(Combo::new(legs.to_vec()).unwrap())
}

fn veto(code: DenialCode) -> Option<Denial> {
    Some(Denial::new(code, "no".to_owned()))
}

fn freeze(scene: &mut Scene) {
    scene.entries_frozen = Some("the gateway's restart is near".to_owned());
}

type Change = fn(&mut Scene);
type Row = (DenialCode, &'static str, Change);

/// Every code that one call can answer, with every cause of it.
const ROWS: &[Row] = &[
    (DenialCode::Halted, "account", |s| s.states.account = TradingState::Halted),
    (DenialCode::Halted, "underlying", |s| {
        s.states.underlyings.insert("SIM".to_owned(), TradingState::Halted);
    }),
    (DenialCode::Halted, "strategy", |s| {
        let strategy = StrategyId::new("sample").unwrap();
        s.states.strategies.insert(strategy, TradingState::Halted);
    }),
    (DenialCode::Halted, "even an exit", |s| {
        s.states.account = TradingState::Halted;
        s.hold(CALL_100, 2);
        s.order = order(CALL_100, Side::Sell, 2, "2.95");
        s.purpose = Purpose::Exit;
    }),
    (DenialCode::Halted, "comes before the link", |s| {
        s.states.account = TradingState::Halted;
        s.link_ready = false;
    }),
    (DenialCode::NotReady, "link", |s| s.link_ready = false),
    (DenialCode::IntentExpired, "validity", |s| s.order.valid_until = sample::OPEN),
    (DenialCode::UnknownContract, "not in the catalog", |s| {
        s.order = order(ConId(99), Side::Buy, 1, "1");
    }),
    (DenialCode::NotTradable, "session", |s| s.session_open = false),
    (DenialCode::NotTradable, "index", |s| s.order = order(INDEX, Side::Buy, 1, "1")),
    (DenialCode::NotTradable, "past its last trade", |s| {
        s.now.market = Timestamp::from_seconds(3_000_000);
        s.order.valid_until = Timestamp::from_seconds(4_000_000);
    }),
    (DenialCode::StaleData, "stale leg", |s| s.change(CALL_100, |l| l.state = DataState::Stale)),
    (DenialCode::StaleData, "flawed leg", |s| s.change(CALL_100, |l| l.state = DataState::Flawed)),
    (DenialCode::StaleData, "dead leg", |s| s.change(CALL_100, |l| l.state = DataState::NotLive)),
    (DenialCode::StaleData, "stale underlying", |s| {
        s.change_view(|view| view.underlyings[0].state = DataState::Stale);
    }),
    (DenialCode::StaleData, "no underlying", |s| s.change_view(|view| view.underlyings.clear())),
    (DenialCode::StaleData, "no line", |s| s.change_view(|view| view.chains.clear())),
    (DenialCode::StaleData, "no view", |s| s.markets.clear()),
    (DenialCode::StaleData, "one-sided though called fresh", |s| {
        s.change(CALL_100, |line| line.quote.bid = None);
    }),
    (DenialCode::StaleData, "a risk-reducing exit as well", |s| {
        s.change(CALL_100, |line| line.state = DataState::Stale);
        s.hold(CALL_100, 2);
        s.order = order(CALL_100, Side::Sell, 2, "2.95");
        s.purpose = Purpose::Exit;
    }),
    (DenialCode::PriceIncrement, "tick", |s| s.order.limit = Price::parse("3.055").unwrap()),
    (DenialCode::PriceIncrement, "tick of a combo", |s| {
        s.order = sample::order(spread(), Side::Buy, 1, "-2.505");
    }),
    (DenialCode::ReduceOnly, "an entry", |s| s.states.account = TradingState::ReduceOnly),
    (DenialCode::ReduceOnly, "an entry that happens to lower risk", |s| {
        s.states.account = TradingState::ReduceOnly;
        s.hold(CALL_100, 2);
        s.order = order(CALL_100, Side::Sell, 2, "2.95");
    }),
    (DenialCode::ReduceOnly, "an exit of nothing", |s| {
        s.states.account = TradingState::ReduceOnly;
        s.purpose = Purpose::Exit;
    }),
    (DenialCode::BrokerDowntime, "an entry", freeze),
    (DenialCode::BrokerDowntime, "an entry that happens to lower risk", |s| {
        freeze(s);
        s.hold(CALL_100, 2);
        s.order = order(CALL_100, Side::Sell, 2, "2.95");
    }),
    (DenialCode::BrokerDowntime, "an exit of nothing", |s| {
        freeze(s);
        s.purpose = Purpose::Exit;
    }),
    (DenialCode::ReduceOnly, "comes before the downtime", |s| {
        freeze(s);
        s.states.account = TradingState::ReduceOnly;
    }),
    (DenialCode::RegimeVeto, "cognition", |s| s.cognition = veto(DenialCode::RegimeVeto)),
    (DenialCode::DataQualityVeto, "cognition", |s| {
        s.cognition = veto(DenialCode::DataQualityVeto);
    }),
    (DenialCode::DataQualityVeto, "an approval of another order", |s| {
        s.approval_of = Some(order(CALL_100, Side::Buy, 1, "3.05"));
    }),
    (DenialCode::Uncertified, "performance", |s| s.performance = veto(DenialCode::Uncertified)),
    (DenialCode::QuantityLimit, "contracts", |s| s.order.quantity = Quantity(21)),
    (DenialCode::QuantityLimit, "zero", |s| s.order.quantity = Quantity(0)),
    (DenialCode::QuantityLimit, "negative", |s| s.order.quantity = Quantity(-1)),
    (DenialCode::QuantityLimit, "absurd", |s| s.order.quantity = Quantity(i64::MAX)),
    (DenialCode::QuantityLimit, "absurd modify", |s| s.modify = Some(Quantity(i64::MIN))),
    (DenialCode::QuantityLimit, "shares", |s| s.order = order(STOCK, Side::Buy, 1_001, "100")),
    (DenialCode::PremiumLimit, "premium", |s| s.limits.premium_max = Money::from_units(304)),
    (DenialCode::CollarQuote, "buyer above", |s| s.order.limit = Price::parse("3.11").unwrap()),
    (DenialCode::CollarQuote, "absurd", |s| s.order.limit = Price::from_micros(i64::MIN)),
    (DenialCode::CollarQuote, "seller below", |s| {
        s.hold(CALL_100, 2);
        s.order = order(CALL_100, Side::Sell, 2, "2.89");
    }),
    (DenialCode::CollarModel, "buyer above", |s| s.order.limit = Price::parse("3.09").unwrap()),
    (DenialCode::CollarModel, "no model value", |s| s.change(CALL_100, |line| line.fair = None)),
    (DenialCode::MarginLimit, "premium to pay", |s| s.limits.margin_max = Money::from_units(304)),
    (DenialCode::MarginLimit, "on top of what is used", |s| {
        s.margin_used = Money::from_units(249_900);
    }),
    (DenialCode::ShortNaked, "call", |s| s.order = order(CALL_100, Side::Sell, 1, "2.95")),
    (DenialCode::ShortNaked, "put", |s| s.order = order(PUT_100, Side::Sell, 1, "2.95")),
    (DenialCode::ShortNaked, "the cover may be sold", |s| {
        s.hold(CALL_110, 1);
        s.pend(Contract::Single(CALL_110), Side::Sell, 1);
        s.order = order(CALL_100, Side::Sell, 1, "2.95");
    }),
    (DenialCode::OrderRate, "none allowed", |s| s.limits.orders_per_second_max = 0),
    (DenialCode::OpenOrders, "one working", |s| {
        s.limits.open_orders_per_side_max = 1;
        s.pend(Contract::Single(CALL_100), Side::Buy, 1);
    }),
    (DenialCode::DeltaLimit, "alone", |s| s.limits.delta_max_shares.default = 49),
    (DenialCode::DeltaLimit, "with a position", |s| s.hold(FUTURE, 20)),
    (DenialCode::DeltaLimit, "with what may fill", |s| {
        s.pend(Contract::Single(FUTURE), Side::Buy, 20);
        // A sale that may not fill makes no room.
        s.pend(Contract::Single(FUTURE), Side::Sell, 20);
    }),
    (DenialCode::DeltaLimit, "further outside", |s| s.hold(FUTURE, 30)),
    (DenialCode::VegaLimit, "alone", |s| s.limits.vega_max_per_point.default = 9),
    (DenialCode::DailyLoss, "reached", |s| s.day.realised = Money::from_units(-5_000)),
    (DenialCode::DailyLoss, "by fees", |s| {
        s.day.unrealised = Some(Money::from_units(-4_999));
        s.day.fees = Money::from_units(1);
    }),
    (DenialCode::RiskUnavailable, "no Greeks", |s| s.change(CALL_100, |line| line.greeks = None)),
    (DenialCode::RiskUnavailable, "NaN delta", |s| {
        s.change(CALL_100, |line| line.greeks.as_mut().unwrap().delta = f64::NAN);
    }),
    (DenialCode::RiskUnavailable, "infinite vega", |s| {
        s.change(CALL_100, |line| line.greeks.as_mut().unwrap().vega = f64::INFINITY);
    }),
    (DenialCode::RiskUnavailable, "no Greeks of a held option", |s| {
        s.hold(PUT_90, 1);
        s.change(PUT_90, |line| line.greeks = None);
    }),
    (DenialCode::RiskUnavailable, "NaN model value", |s| {
        s.change(CALL_100, |line| line.fair.as_mut().unwrap().price = f64::NAN);
    }),
    (DenialCode::RiskUnavailable, "NaN model error", |s| {
        s.change(CALL_100, |line| line.fair.as_mut().unwrap().standard_error = f64::NAN);
    }),
    (DenialCode::RiskUnavailable, "unknown position", |s| s.hold(ConId(99), 1)),
    (DenialCode::RiskUnavailable, "unrealised result", |s| s.day.unrealised = None),
    (DenialCode::RiskUnavailable, "currency", |s| {
        s.limits.currency = Currency::try_from("EUR".to_owned()).unwrap();
    }),
];

#[test]
fn every_cause_has_its_code() {
    assert_eq!(scene().code(), None);
    for (code, cause, change) in ROWS {
        let mut scene = scene();
        change(&mut scene);
        assert_eq!(scene.code(), Some(*code), "{code}: {cause}");
    }
}

#[test]
fn every_code_is_the_desks_or_stands_in_the_rows() {
    let elsewhere = [
        // The desk answers these itself.
        DenialCode::StrategyNotAttached,
        DenialCode::DuplicateKey,
        DenialCode::OrderInTheWay,
        DenialCode::UnevenLegs,
        DenialCode::UnknownOrder,
        DenialCode::JournalBehind,
        // Needs two calls: its own test below.
        DenialCode::DuplicateIntent,
    ];
    let rows: BTreeSet<DenialCode> = ROWS.iter().map(|row| row.0).chain(elsewhere).collect();
    assert_eq!(rows, DenialCode::ALL.iter().copied().collect());
}

#[test]
fn limits_may_be_reached() {
    let rows: &[(&str, Change)] = &[
        ("quantity", |s| s.limits.quantity_max_contracts = 2),
        ("premium", |s| s.limits.premium_max = Money::from_units(305)),
        ("quote collar", |s| {
            s.order.limit = Price::parse("3.10").unwrap();
            s.limits.collar_model_ticks_min = 10;
        }),
        ("model collar", |s| s.order.limit = Price::parse("3.08").unwrap()),
        ("delta", |s| s.limits.delta_max_shares.default = 50),
        ("vega", |s| s.limits.vega_max_per_point.default = 10),
        ("order rate", |s| s.limits.orders_per_second_max = 1),
        ("open orders", |s| {
            s.limits.open_orders_per_side_max = 2;
            s.pend(Contract::Single(CALL_100), Side::Buy, 1);
        }),
        ("a limit on the good side", |s| s.order.limit = Price::parse("0.01").unwrap()),
        ("loss", |s| s.day.realised = Money::from_micros(-4_999_990_000)),
        ("a breach that stands", |s| {
            s.hold(FUTURE, -30);
            s.pend(Contract::Single(FUTURE), Side::Buy, 40);
        }),
        ("a defined-risk spread", |s| {
            s.order = sample::order(spread(), Side::Buy, 1, "-2.50");
        }),
        ("a covered call", |s| {
            s.hold(FUTURE, 1);
            s.order = order(CALL_100, Side::Sell, 1, "2.95");
        }),
    ];
    for (name, change) in rows {
        let mut scene = scene();
        change(&mut scene);
        let answer = scene.clear();
        assert!(answer.is_ok(), "{name}: {:?}", answer.err().map(|(denial, _)| denial));
    }
}

#[test]
fn a_cleared_order_carries_three_approvals_and_its_evidence() {
    let cleared = scene().clear().unwrap();
    let hash = scene().order.canonical_hash();
    let layers: Vec<Layer> = cleared.approvals().iter().map(|approval| approval.layer).collect();
    assert_eq!(layers, [Layer::Cognition, Layer::Risk, Layer::Performance]);
    assert!(cleared.approvals().iter().all(|approval| approval.order == hash));
    assert_eq!((cleared.hash(), cleared.clearance()), (hash, Clearance::Full));
    assert_eq!(cleared.expires(), scene().now.process + CLEARANCE_LIFE);
    assert_eq!(cleared.desk_generation(), 7);
    let evidence = cleared.evidence();
    assert_eq!(evidence.view_version, 41);
    let quotes: Vec<ConId> = evidence.quotes.iter().map(|quote| quote.con_id).collect();
    assert_eq!(quotes, [FUTURE, CALL_100]);
    assert!(evidence.quotes.iter().all(|quote| quote.fresh && quote.live));
    let delta = evidence.limits.iter().find(|seen| seen.limit == "delta/SIM").unwrap();
    assert_eq!((delta.before_milli, delta.after_milli, delta.bound_milli), (0, 50_000, 1_000_000));
}

#[test]
fn the_same_order_is_denied_within_its_window_but_a_modify_is_not() {
    let mut scene = scene();
    let mut gate = Gate::new(scene.limits.clone());
    assert!(scene.clear_with(&mut gate).is_ok());
    let (denial, _) = scene.clear_with(&mut gate).unwrap_err();
    assert_eq!(denial.code, DenialCode::DuplicateIntent);
    scene.modify = Some(Quantity(2));
    assert!(scene.clear_with(&mut gate).is_ok());
    scene.modify = None;
    scene.now.process = scene.now.process + Duration::from_millis(1_000);
    assert!(scene.clear_with(&mut gate).is_ok());
}

#[test]
fn orders_are_counted_over_one_second() {
    let mut scene = scene();
    scene.limits.orders_per_second_max = 2;
    let mut gate = Gate::new(scene.limits.clone());
    let mut codes = Vec::new();
    for (quantity, millis) in [(1, 0), (2, 400), (3, 400), (4, 199), (5, 1)] {
        scene.order.quantity = Quantity(quantity);
        scene.now.process = scene.now.process + Duration::from_millis(millis);
        codes.push(scene.clear_with(&mut gate).err().map(|(denial, _)| denial.code));
    }
    let rate = Some(DenialCode::OrderRate);
    assert_eq!(codes, [None, None, rate, rate, None]);
}

#[test]
fn limits_read_units_and_decimals_and_refuse_what_they_do_not_know() {
    let text = r#"{"premium_max": "1234.5", "margin_max": 99, "delta_max_shares": {"default": 7}}"#;
    let limits: Limits = serde_json::from_str(text).unwrap();
    assert_eq!(limits.premium_max, Money::parse("1234.5").unwrap());
    assert_eq!(limits.margin_max, Money::from_units(99));
    assert_eq!(limits.delta_max_shares.of("SIM"), 7);
    assert_eq!(limits.validate(), Ok(()));
    let written = serde_json::to_string(&limits).unwrap();
    assert_eq!(serde_json::from_str::<Limits>(&written).unwrap(), limits);
    assert!(serde_json::from_str::<Limits>(r#"{"premium_maximum": 1}"#).is_err());
    let broken = Limits { collar_quote_half_spreads: f64::NAN, ..Limits::default() };
    assert!(broken.validate().is_err());
    let forbidding = Limits { daily_loss_max: Money::ZERO, ..Limits::default() };
    assert!(forbidding.validate().is_err());
}
