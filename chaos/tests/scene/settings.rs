//! The node of a scene: shipped limits, and tomes that a test words itself.

use super::hand::{Hand, SYMBOL, start};
use broker::downtime::DowntimeSchedule;
use broker::link::LinkTiming;
use chaos::medium::Medium;
use chaos::simulation::{NodeSettings, SimulationSpec};
use desk::reconcile::ReconcilePolicy;
use exchange::{ExchangeConfig, MarketSource};
use market::money::Money;
use market::time::Timestamp;
use risk::breaker::BreakerLimits;
use risk::limits::Limits;
use risk::setting::PerSymbol;
use serde_json::{Value, json};
use std::time::Duration;
use strategy::tome::{QuarantinePolicy, Tome};
use trading::id::AccountId;

/// The limits of the shipped `dev` environment.
pub fn limits() -> Limits {
    Limits {
        quantity_max_contracts: 20,
        quantity_max_shares: 1_000,
        premium_max: Money::from_units(100_000),
        margin_max: Money::from_units(2_000_000),
        orders_per_second_max: 10,
        open_orders_per_side_max: 10,
        daily_loss_max: Money::from_units(500_000),
        delta_max_shares: PerSymbol::all(2_000),
        vega_max_per_point: PerSymbol::all(15_000),
        ..Limits::default()
    }
}

/// Breakers that a lively path does not trip.
pub fn breakers() -> BreakerLimits {
    BreakerLimits {
        daily_loss_max: Money::from_units(500_000),
        realised_vol_max: 10.0,
        ..BreakerLimits::default()
    }
}

pub fn link() -> LinkTiming {
    LinkTiming {
        settle_ms: 500,
        connect_timeout_ms: 5_000,
        backoff_min_ms: 250,
        backoff_max_ms: 30_000,
        ..LinkTiming::default()
    }
}

/// Takes the protection out that `OPTIONSIB_BREAK` names, to see a scene turn red.
#[cfg(mutations)]
fn break_on_demand() {
    if let Ok(name) = std::env::var("OPTIONSIB_BREAK") {
        mutation::set(&name);
    }
}

pub fn node(tomes: Vec<Tome>) -> NodeSettings {
    #[cfg(mutations)]
    break_on_demand();
    NodeSettings {
        account: AccountId("SIM000001".to_owned()),
        configuration: "scene".to_owned(),
        limits: limits(),
        breakers: breakers(),
        link: link(),
        downtime: DowntimeSchedule::none(),
        reconcile: ReconcilePolicy::default(),
        tomes,
    }
}

/// A day of the hand-made market along a path; process time runs as market time does.
pub fn day(hand: &Hand, market: MarketSource, tomes: Vec<Tome>) -> SimulationSpec {
    SimulationSpec {
        source: "made by hand".to_owned(),
        day: "2026-11-23".to_owned(),
        market,
        products: vec![hand.product()],
        exchange: ExchangeConfig {
            request_latency: Duration::from_millis(20),
            report_latency: Duration::from_millis(20),
            ..ExchangeConfig::default()
        },
        dividends: Vec::new(),
        start: hand.from.minus(Duration::from_secs(60)),
        end: end(hand),
        speed_permille: 1_000,
        settings: node(tomes),
        seed: 7,
        chaos: None,
        medium: Medium::memory(),
        progress: None,
    }
}

fn end(hand: &Hand) -> Timestamp {
    let quoted = hand.every * u32::try_from(hand.steps).unwrap();
    hand.from.plus(quoted).max(start())
}

fn tome(id: &str, kind: &str, parameters: &Value, conditions: &Value) -> Tome {
    let text = json!({
        "schema_version": 1, "id": id, "kind": kind, "version": 1, "symbol": SYMBOL,
        "parameters": parameters, "conditions": conditions, "quarantine_policy": "hold",
    });
    Tome::parse(&format!("{id}.json"), &text.to_string()).unwrap()
}

fn changed(mut base: Value, changes: &Value) -> Value {
    for (field, value) in changes.as_object().unwrap() {
        base[field] = value.clone();
    }
    base
}

pub fn orders() -> Value {
    json!({
        "cross_percent": 100, "valid_seconds": 30,
        "backoff_first_seconds": 5, "backoff_max_seconds": 60,
    })
}

/// The same strategy with another quarantine policy.
pub fn with_policy(mut tome: Tome, policy: QuarantinePolicy) -> Tome {
    tome.quarantine_policy = policy;
    tome
}

/// A scalper that buys three straddles once and hedges them; `changes` are parameters.
pub fn scalper(id: &str, changes: &Value, conditions: &Value) -> Tome {
    let base = json!({
        "days_min": 5, "days_max": 45, "units": 3, "close_days": 2,
        "restrike_basis_points": 10_000, "take_profit": 1e9, "stop_loss": 1e9,
        "hedge_band_units": 10.0, "hedge_max": 900,
        "uneven_grace_seconds": 5, "pause_seconds": 60, "order": orders(),
    });
    tome(id, "gamma_scalper", &changed(base, changes), conditions)
}

/// A seller of call spreads that leaves them to expire.
pub fn call_seller(id: &str, changes: &Value) -> Tome {
    let base = json!({
        "side": "call", "days_min": 5, "days_max": 45, "units": 3,
        "short_delta_percent": 60, "width": 10.0, "min_credit": 0.5,
        "profit_percent": 1, "stop_percent": 10_000,
        "at_expiry": "let_expire", "close_hours": 0,
        "uneven_grace_seconds": 5, "pause_seconds": 86_400, "order": orders(),
    });
    tome(id, "credit_spread", &changed(base, changes), &json!({}))
}
