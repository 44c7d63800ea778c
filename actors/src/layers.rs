//! What the desk asks about the world: cognition's and performance's word, sessions, time in force.
//!
//! Plain look-ups into what the wiring was given; the judgements are made in `risk` and `strategy`.

use crate::views::Views;
use ::strategy::certificate::{Certificate, Environment, Fingerprint};
use arc_swap::ArcSwap;
use broker::downtime::DowntimeSchedule;
use desk::desk::{ExDividend, Surroundings};
use market::calendar::Calendar;
use market::corporate_action::DividendSchedule;
use market::instrument::{Catalog, ConId, InstrumentKind};
use market::time::Timestamp;
use risk::cognition::{Conditions, approve};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trading::approval::{Approval, Layer};
use trading::denial::{Denial, DenialCode};
use trading::id::StrategyId;
use trading::order::{Order, TimeInForce};

/// An immediate order that has not ended after so long never will.
const IMMEDIATE_ENDS_AFTER: Duration = Duration::from_secs(60);

/// What is known of one strategy's version.
#[derive(Clone, Debug)]
pub struct StrategyLayers {
    /// Its product.
    pub symbol: String,
    /// The market that it is made for.
    pub conditions: Conditions,
    /// What it is: code, version, parameters.
    pub fingerprint: Fingerprint,
    /// Its certificate, if it has one.
    pub certificate: Option<Certificate>,
}

/// The desk's surroundings.
pub struct Layers {
    /// Per strategy.
    pub strategies: BTreeMap<StrategyId, StrategyLayers>,
    /// When each product trades.
    pub calendars: BTreeMap<String, Arc<Calendar>>,
    /// What each product's stock pays.
    pub dividends: BTreeMap<String, DividendSchedule>,
    /// The instruments.
    pub catalog: Arc<ArcSwap<Catalog>>,
    /// The views.
    pub views: Views,
    /// Where the node runs: paper lets the uncertified trade, marked so; live never.
    pub environment: Environment,
    /// When the broker is expected to be away.
    pub downtime: DowntimeSchedule,
}

impl Layers {
    fn of(&self, order: &Order, code: DenialCode) -> Result<&StrategyLayers, Denial> {
        let strategy = &order.key.strategy;
        self.strategies.get(strategy).ok_or_else(|| {
            Denial::new(code, format!("{strategy} has no tome in this node, add it and restart"))
        })
    }

    fn calendars_of(&self, order: &Order) -> Option<Vec<&Calendar>> {
        let catalog = self.catalog.load();
        let of_leg = |con_id| {
            let symbol = catalog.symbol(con_id).ok()?;
            self.calendars.get(symbol).map(|calendar| &**calendar)
        };
        order.contract.legs().iter().map(|leg| of_leg(leg.con_id)).collect()
    }
}

impl Surroundings for Layers {
    fn cognition(&self, order: &Order) -> Result<Approval, Denial> {
        let layers = self.of(order, DenialCode::DataQualityVeto)?;
        let Some(view) = self.views.latest(&layers.symbol) else {
            let sentence = format!("{} has no market view yet", layers.symbol);
            return Err(Denial::new(DenialCode::DataQualityVeto, sentence));
        };
        approve(&layers.conditions, &view, view.time, order.canonical_hash())
    }

    fn performance(&self, order: &Order) -> Result<Approval, Denial> {
        let layers = self.of(order, DenialCode::Uncertified)?;
        let order_hash = order.canonical_hash();
        let approve = |certificate: &str| Approval {
            layer: Layer::Performance,
            order: order_hash,
            grounds: vec![("certificate".to_owned(), certificate.to_owned())],
        };
        let today = self.views.latest(&layers.symbol).and_then(|view| {
            self.calendars.get(&layers.symbol).map(|calendar| calendar.trading_day(view.time))
        });
        let checked = match (&layers.certificate, today) {
            (Some(certificate), Some(today)) => certificate
                .check(&order.key.strategy, &layers.fingerprint, self.environment, today)
                .map_err(|fault| fault.to_string()),
            (None, _) => Err("it has no certificate".to_owned()),
            (Some(_), None) => Err("the trading day is not known yet".to_owned()),
        };
        match (checked, self.environment) {
            (Ok(()), _) => Ok(approve("valid")),
            (Err(_), Environment::Paper) => Ok(approve("uncertified, paper")),
            (Err(why), Environment::Live) => {
                let sentence = format!("{}: {why}", order.key.strategy);
                Err(Denial::new(DenialCode::Uncertified, sentence))
            }
        }
    }

    fn session_open(&self, order: &Order, at: Timestamp) -> bool {
        let calendars = self.calendars_of(order);
        calendars.is_some_and(|calendars| calendars.iter().all(|calendar| calendar.is_open(at)))
    }

    fn entries_frozen(&self, at: Timestamp) -> Option<String> {
        self.downtime.phase(at).entries_frozen()
    }

    fn dividends(&self, stock: ConId, from: Timestamp, until: Timestamp) -> Vec<ExDividend> {
        let catalog = self.catalog.load();
        let Ok(instrument) = catalog.get(stock) else { return Vec::new() };
        let symbol = &instrument.symbol;
        let (Some(schedule), Some(calendar), InstrumentKind::Stock) =
            (self.dividends.get(symbol), self.calendars.get(symbol), &instrument.kind)
        else {
            return Vec::new();
        };
        let days = schedule.between(
            calendar.trading_day(from).plus_days(-1),
            calendar.trading_day(until).plus_days(1),
        );
        let gone = days.map(|(ex_date, cash)| ExDividend {
            ex_date,
            ex: calendar.clock(ex_date, 0),
            cash,
        });
        gone.filter(|one| from < one.ex && one.ex <= until).collect()
    }

    fn time_in_force_end(&self, order: &Order, created: Timestamp) -> Option<Timestamp> {
        match order.time_in_force {
            TimeInForce::GoodTillCanceled => None,
            TimeInForce::ImmediateOrCancel => Some(created.plus(IMMEDIATE_ENDS_AFTER)),
            TimeInForce::Day => {
                let calendars = self.calendars_of(order)?;
                let close = |calendar: &&Calendar| Some(calendar.current_or_next(created)?.close);
                calendars.iter().map(close).max().flatten()
            }
        }
    }
}
