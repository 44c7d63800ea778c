//! The broker that the node trades, as far as it is known before the tree is launched: where it
//! listens, what its market's time is, what is listed and what it pays. And what goes on beside the
//! tree: lines are pinned, new listings taken in.
//!
//! Terms are kept in the state folder's `contracts.json`: details are throttled at IB, expired
//! options and paid dividends are told no more, and the ledger still needs them.

use super::gateway_process::{self, GatewayPlan};
use crate::cli::RunArgs;
use crate::configuration::{BrokerKind, Configuration};
use crate::failure::Failure;
use actors::node::{Listing, NodeParts};
use actors::runtime::clock::Clock;
use broker::ib::{ContractsError, Environment, Gateway, IbDataPort, IbSettings};
use broker::port::WireTap;
use exchange::day::utc_day;
use market::calendar::Calendar;
use market::corporate_action::DividendSchedule;
use market::instrument::{ConId, Instrument, InstrumentKind};
use market::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const FILE: &str = "contracts.json";
/// A broker that is not there is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// A chain's details may take so long: IB answers slowly, one question an expiry, of which each has
/// a deadline of its own. A broker that isn't there is an error at once.
const DETAILS_WITHIN: Duration = Duration::from_secs(1_200);
const DIVIDENDS_WITHIN: Duration = Duration::from_secs(10);
/// Terms are kept for so long after their last trade: until everybody has booked what followed.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_secs(30 * 86_400);
/// As are dividends after their ex-date.
const PAID_KEPT_DAYS: i32 = 30;
/// Chains are asked again after so much market time, for strikes that the spot has come near to.
const CHAINS_EVERY: Duration = Duration::from_secs(600);
/// But not more often than this, however fast the market runs.
const CHAINS_PAUSE: Duration = Duration::from_secs(5);
/// Lines of what is held and worked are pinned this often.
const PIN_EVERY: Duration = Duration::from_secs(1);

/// What is known of it.
pub struct Venue {
    /// Settings, contracts and pace of both connections.
    pub gateway: Gateway,
    /// The data connection.
    pub data: IbDataPort,
    /// The node's clock, which shows the broker's time.
    pub clock: Clock,
    /// What is traded, and what was.
    pub instruments: Vec<Instrument>,
    /// What the stocks among them pay.
    pub dividends: BTreeMap<String, DividendSchedule>,
    /// Dividends and early exercise are of a market with this rate, where that is known.
    pub is_simulated: bool,
    symbols: Vec<String>,
    path: PathBuf,
}

impl Venue {
    /// Finds or starts the gateway, connects for data, and learns what is listed. Waits for a
    /// broker that is not there.
    ///
    /// # Errors
    /// A gateway of ours that can't be used, or a product that the broker doesn't know.
    pub fn open(
        args: &RunArgs,
        configuration: &Configuration,
        tap: Arc<dyn WireTap>,
    ) -> Result<Self, Failure> {
        let state = &args.state.state;
        let broker = &configuration.broker;
        let (address, clock, lines_max) = match broker.kind {
            BrokerKind::Simulated => {
                let plan = GatewayPlan::new(state, configuration, args.seed, args.speed);
                let found = plan.found_or_started()?;
                let unreachable = |error: &dyn std::fmt::Display| {
                    Failure::internal("the gateway does not answer").because(error)
                };
                let time =
                    gateway_process::market_time(&found).map_err(|error| unreachable(&error))?;
                let permille = (found.speed * 1_000.0).round().max(1.0) as u64;
                let port = found.listening.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                plan.keep(port.unwrap_or(0)).map_err(|error| unreachable(&error))?;
                // Nobody else sits at it: the whole allowance is ours.
                (found.listening, Clock::scaled(time, permille), broker.lines)
            }
            BrokerKind::Ib => {
                (broker.address.to_string(), Clock::live(), broker.lines - broker.lines / 10)
            }
        };
        let now = clock.clone();
        let time = Arc::new(move || now.now().market);
        let mut settings = IbSettings::paper(&address, configuration.account.clone(), time);
        settings.order_client = broker.order_client;
        settings.data_client = broker.data_client;
        settings.lines_max = usize::from(lines_max);
        settings.messages_per_second = u32::from(broker.lines / 2);
        if configuration.environment == crate::cli::Environment::Live {
            settings.environment = Environment::Live;
        }
        let mut gateway = Gateway::new(settings);
        gateway.tap = Some(tap);
        let data = IbDataPort::start(gateway.clone()).map_err(|error| {
            Failure::internal("the data connection can't be started").because(error)
        })?;
        let symbols: BTreeSet<String> =
            configuration.tomes.iter().map(|tome| tome.symbol.clone()).collect();
        let mut venue = Self {
            gateway,
            data,
            clock,
            instruments: Vec::new(),
            dividends: BTreeMap::new(),
            is_simulated: broker.kind == BrokerKind::Simulated,
            symbols: symbols.into_iter().collect(),
            path: state.join(FILE),
        };
        venue.learn()?;
        Ok(venue)
    }

    /// When a product with these instruments trades.
    pub fn calendar(&self, instruments: &[Instrument]) -> Calendar {
        if self.is_simulated {
            return Calendar::round_the_clock();
        }
        let is_future = |one: &Instrument| matches!(one.kind, InstrumentKind::Future(_));
        if instruments.iter().any(is_future) {
            // The one future that the adapter knows.
            return Calendar::cme_globex_es();
        }
        Calendar::us_equities()
    }

    /// Learns the products: what was kept, and what is listed now.
    fn learn(&mut self) -> Result<(), Failure> {
        let Known { instruments: mut known, dividends } = kept(&self.path);
        self.dividends = dividends;
        for instrument in &known {
            self.gateway.contracts.insert(instrument.clone());
        }
        for symbol in &self.symbols {
            let listed = loop {
                match self.data.resolve(symbol, DETAILS_WITHIN) {
                    Ok(listed) => break listed,
                    // Named, not waited for: it will not come.
                    Err(error @ ContractsError::NotListed { .. }) => {
                        return Err(Failure::internal(format!("{symbol} can't be traded"))
                            .because(error)
                            .next("name strategies of what the broker lists"));
                    }
                    Err(error) => tracing::warn!("{error}; it is asked again"),
                }
                std::thread::sleep(ASK_AGAIN);
            };
            known = merged(known, listed);
        }
        let now = self.clock.now().market;
        known.retain(|one| is_kept(one, now));
        let today = utc_day(now);
        for stock in known.iter().filter(|one| matches!(one.kind, InstrumentKind::Stock)) {
            let told = self.data.dividends(stock.con_id, today, DIVIDENDS_WITHIN);
            let before = self.dividends.remove(&stock.symbol).unwrap_or_default();
            self.dividends.insert(stock.symbol.clone(), with_paid(&before, &told, today));
        }
        self.instruments = known;
        self.keep()
    }

    fn keep(&self) -> Result<(), Failure> {
        let known =
            Known { instruments: self.instruments.clone(), dividends: self.dividends.clone() };
        keep(&self.path, &known)
    }

    /// Follows the market beside the tree, on threads of its own.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn follow(self, parts: &NodeParts, listing: Listing) -> std::io::Result<()> {
        let (data, pinned) = (self.data.clone(), parts.clone());
        std::thread::Builder::new().name("pins".to_owned()).spawn(move || {
            let mut before = BTreeSet::new();
            loop {
                let wanted = wanted(&pinned);
                if wanted != before {
                    data.pin(wanted.clone());
                    before = wanted;
                }
                std::thread::sleep(PIN_EVERY);
            }
        })?;
        let listings = move || self.take_listings(&listing);
        std::thread::Builder::new().name("listings".to_owned()).spawn(listings).map(drop)
    }

    fn take_listings(mut self, listing: &Listing) {
        let mut asked = self.clock.now().market;
        loop {
            std::thread::sleep(CHAINS_PAUSE);
            if self.clock.now().market < asked.plus(CHAINS_EVERY) {
                continue;
            }
            asked = self.clock.now().market;
            let mut known = std::mem::take(&mut self.instruments);
            for symbol in &self.symbols {
                match self.data.resolve(symbol, DETAILS_WITHIN) {
                    Ok(listed) => {
                        listing.take(&listed);
                        known = merged(known, listed);
                    }
                    Err(error) => tracing::warn!("{error}; it is asked again later"),
                }
            }
            known.retain(|one| is_kept(one, asked));
            self.instruments = known;
            if let Err(error) = self.keep() {
                tracing::warn!("{error:?}");
            }
        }
    }
}

/// What is held, and what is worked: their lines never take turns.
fn wanted(parts: &NodeParts) -> BTreeSet<ConId> {
    let view = parts.desk_view.load();
    let held = view.exposure.positions.keys().copied();
    let worked = view.orders.iter().filter(|order| order.state.is_live());
    let worked = worked.flat_map(|order| order.contract.legs());
    held.chain(worked.map(|leg| leg.con_id)).collect()
}

fn is_kept(instrument: &Instrument, now: Timestamp) -> bool {
    instrument.last_trade().is_none_or(|last| last.plus(KEPT_AFTER_EXPIRY) > now)
}

fn merged(known: Vec<Instrument>, listed: Vec<Instrument>) -> Vec<Instrument> {
    let all = known.into_iter().chain(listed).map(|one| (one.con_id, one));
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// What is told now, and of what was told before the dividends that went ex lately: a broker names
/// the next one only, and who was down when a stock went ex still has to book it.
fn with_paid(before: &DividendSchedule, told: &DividendSchedule, today: Date) -> DividendSchedule {
    let recent = today.plus_days(-PAID_KEPT_DAYS);
    // Today's too: once the stock has gone ex, the next one is told.
    let paid = before.iter().filter(|(ex_date, _)| (recent..=today).contains(ex_date));
    // An answer that did not come is not the news that nothing is paid.
    let next = if told.is_empty() { before } else { told };
    let next = next.iter().filter(|(ex_date, _)| *ex_date >= today);
    DividendSchedule::new(paid.chain(next).collect::<BTreeMap<_, _>>())
}

/// What the file keeps.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    instruments: Vec<Instrument>,
    /// By stock.
    dividends: BTreeMap<String, DividendSchedule>,
}

/// A file that can't be read is as good as none: everything is asked again.
fn kept(path: &Path) -> Known {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn keep(path: &Path, known: &Known) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::internal(format!("{} can't be written", path.display())).because(error)
    };
    let text = serde_json::to_string(known).map_err(|error| failed(&error))?;
    let fresh = path.with_extension("json.new");
    fs::write(&fresh, text).map_err(|error| failed(&error))?;
    fs::rename(&fresh, path).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::money::Price;

    /// Found by two hundred kills: the node was down at the moment when the stock went ex, and the
    /// broker then named the next dividend only. The cash was missed for half an hour, and its
    /// reason for ever.
    #[test]
    fn a_dividend_that_went_ex_while_the_node_was_down_is_still_known() {
        fn of(days: &[&str]) -> DividendSchedule {
            let half = Price::parse("0.5").unwrap();
            DividendSchedule::new(days.iter().map(|one| (Date::parse(one).unwrap(), half)))
        }
        let before = of(&["20261001", "20261127", "20270226"]);
        let told = of(&["20270225", "20270527"]);
        let today = Date::parse("20261128").unwrap();
        let known = with_paid(&before, &told, today);
        assert_eq!(known, of(&["20261127", "20270225", "20270527"]));
        let ex_today = with_paid(&before, &told, Date::parse("20261127").unwrap());
        assert_eq!(ex_today, known, "it is told no more on its own day");
        let silent = with_paid(&before, &DividendSchedule::default(), today);
        assert_eq!(silent, of(&["20261127", "20270226"]));
        let later = Date::parse("20270101").unwrap();
        assert_eq!(with_paid(&known, &of(&["20270225"]), later), of(&["20270225"]));
    }
}
