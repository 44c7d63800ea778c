//! The built-in market with tomes on it, for scenes of hours and days.

use super::hand::start;
use super::settings::node;
use actors::node::Product;
use chaos::medium::Medium;
use chaos::simulation::SimulationSpec;
use exchange::builtin::BuiltinMarket;
use exchange::{ExchangeConfig, MarketSource};
use market::calendar::Calendar;
use market::corporate_action::DividendSchedule;
use market::quality::Gates;
use risk::setting::PerSymbol;
use std::sync::Arc;
use std::time::Duration;
use strategy::tome::Tome;
use valuation::book::BookSettings;

/// A shipped tome.
pub fn shipped(id: &str) -> Tome {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/strategies");
    let text = std::fs::read_to_string(format!("{folder}/{id}.json")).unwrap();
    Tome::parse(&format!("{id}.json"), &text).unwrap()
}

/// So many seconds of the built-in market, a step of it at a time.
pub fn days(seed: u64, seconds: u64, every: Duration, tomes: Vec<Tome>) -> SimulationSpec {
    let market = BuiltinMarket::new(seed, start()).with_interval(every);
    let products = ["SIM", "SIMX"].map(|symbol| Product {
        symbol: symbol.to_owned(),
        instruments: {
            let all = BuiltinMarket::new(seed, start()).next_step().listed;
            all.into_iter().filter(|one| one.symbol == symbol).collect()
        },
        calendar: Arc::new(Calendar::round_the_clock()),
        gates: Gates::default(),
        settings: BookSettings::default(),
        dividends: DividendSchedule::default(),
    });
    let mut settings = node(tomes);
    // Steps are seconds apart here, so a model that follows each is often behind a quote.
    settings.limits.collar_model_standard_errors = 1e6;
    settings.limits.delta_max_shares = PerSymbol::all(20_000);
    SimulationSpec {
        source: "built in".to_owned(),
        day: "2026-11-23".to_owned(),
        market: MarketSource::Builtin(Box::new(market)),
        products: products.to_vec(),
        exchange: ExchangeConfig::default(),
        dividends: Vec::new(),
        start: start(),
        end: start().plus(Duration::from_secs(seconds)),
        speed_permille: 1_000,
        settings,
        seed,
        chaos: None,
        medium: Medium::memory(),
        progress: None,
    }
}
