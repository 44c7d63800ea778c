//! The configuration: files become domain types here and nowhere else, or a clear error.
//!
//! `main.yaml` with `environment/<name>.yaml` on top, key by key; the merged whole is read into
//! strict types and then checked. Every error names the file and the key. Tomes and the fee table
//! are part of it, so its fingerprint (in the journal at each start) says exactly what ran. Restart
//! intensities are no configuration: they are part of the tree.

mod layers;
mod problem;
mod settings;

pub use problem::ConfigurationError;

use crate::cli::Environment;
use broker::downtime::DowntimeSchedule;
use broker::link::LinkTiming;
use exchange::fees::FeeSchedule;
use layers::Layers;
use market::money::Money;
use risk::breaker::BreakerLimits;
use risk::limits::Limits;
use serde::Deserialize;
use settings::Settings;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use strategy::tome::Tome;
use trading::id::{AccountId, StrategyId};
use valuation::book::BookSettings;

/// The one schema of configuration files that this version reads.
pub const SCHEMA_VERSION: u32 = 1;

/// Who is behind the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerKind {
    /// Our own gateway, which the node starts if it finds none.
    Simulated,
    /// Interactive Brokers' gateway, or whatever speaks as it does.
    Ib,
}

/// The broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSettings {
    /// Who it is.
    pub kind: BrokerKind,
    /// Where it listens; our own gateway says that itself.
    pub address: SocketAddr,
    /// The client id that places orders.
    pub order_client: i32,
    /// The client id that reads the market.
    pub data_client: i32,
    /// Lines of market data that the account has.
    pub lines: u16,
}

/// The built-in market.
#[derive(Clone, Debug, PartialEq)]
pub struct MarketSettings {
    /// Its seed, where its state is new.
    pub seed: u64,
    /// Thousandths of a second of market time per second.
    pub speed_permille: u64,
}

/// The simulated venue.
#[derive(Clone, Debug, PartialEq)]
pub struct VenueSettings {
    /// How long a request is under way.
    pub request_latency: Duration,
    /// How long a report is under way.
    pub report_latency: Duration,
    /// Cash of a new account, US dollars.
    pub starting_cash: Money,
    /// What executions cost.
    pub fees: FeeSchedule,
    /// The file of it.
    pub fees_file: PathBuf,
}

/// The journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// More records than these may not wait to become durable: new intents are denied.
    pub not_durable_records_max: u64,
    /// Nor may the oldest wait longer.
    pub not_durable_max: Duration,
}

/// When snapshots are taken, whichever comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// After so many records.
    pub every_records: u64,
    /// After this time, if there are new records.
    pub every: Duration,
}

/// The watchdog thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogSettings {
    /// How often it looks.
    pub poll: Duration,
    /// A runtime without a heartbeat for this long is stuck.
    pub grace: Duration,
    /// Beyond this age of the oldest waiting record it halts.
    pub journal_age_max: Duration,
}

/// The logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// As tracing's filters.
    pub filter: String,
    /// Also into the state folder.
    pub file: bool,
}

/// Everything that the node is told by files.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Which environment.
    pub environment: Environment,
    /// The one account that is traded.
    pub account: AccountId,
    /// The broker.
    pub broker: BrokerSettings,
    /// Where the API listens: loopback.
    pub api: SocketAddr,
    /// The built-in market.
    pub market: MarketSettings,
    /// The simulated venue.
    pub venue: VenueSettings,
    /// The broker link.
    pub link: LinkTiming,
    /// When the broker is expected to be away.
    pub downtime: DowntimeSchedule,
    /// The journal.
    pub journal: JournalSettings,
    /// Snapshots.
    pub snapshots: SnapshotSettings,
    /// The gate.
    pub limits: Limits,
    /// The breakers.
    pub breakers: BreakerLimits,
    /// The pricing books.
    pub pricing: BookSettings,
    /// The watchdog.
    pub watchdog: WatchdogSettings,
    /// The longest life of an injected fault; none where faults are refused.
    pub faults_max: Option<Duration>,
    /// The logs.
    pub log: LogSettings,
    /// The strategies, in the order of the configuration.
    pub tomes: Vec<Tome>,
    /// blake3 of all of the above as it was read, in hexadecimal.
    pub fingerprint: String,
}

/// What a connection to the broker needs of the files, and nothing else: for when the node is gone
/// and the rest of its configuration may be broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAccess {
    /// Who it is.
    pub kind: BrokerKind,
    /// Where it listens, unless it is our own.
    pub address: SocketAddr,
    /// The client id that places orders.
    pub order_client: i32,
    /// The account.
    pub account: AccountId,
}

impl BrokerAccess {
    /// Reads these keys; no other is looked at, and no other file.
    ///
    /// # Errors
    /// [`ConfigurationError`], naming the file and the key.
    pub fn load(folder: &Path, environment: Environment) -> Result<Self, ConfigurationError> {
        let keys: settings::BrokerKeys = Layers::read(folder, environment)?.parse()?;
        Ok(keys.access())
    }
}

/// Which configuration to read.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The folder with `main.yaml`, `environment/` and `strategies/`.
    pub folder: &'a Path,
    /// The file of `environment/`.
    pub environment: Environment,
    /// Run these strategies instead of the configured ones.
    pub strategies: Option<&'a [String]>,
}

impl Configuration {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`ConfigurationError`], naming the file and the key.
    pub fn load(source: &Source<'_>) -> Result<Self, ConfigurationError> {
        let layers = Layers::read(source.folder, source.environment)?;
        let settings = Settings::check(&layers, source.environment)?;
        let strategies = source.strategies.unwrap_or(&settings.strategies);
        let mut read = BTreeMap::new();
        let tomes = tomes(&layers, source.folder, strategies, &mut read)?;
        let fees_path = source.folder.join(&settings.venue.fees);
        let fees_text = text(&fees_path)?;
        let fees = FeeSchedule::parse(&fees_text).map_err(|error| ConfigurationError::Fees {
            file: fees_path.clone(),
            reason: error.to_string(),
        })?;
        read.insert("fees".to_owned(), fees_text);
        let downtime = DowntimeSchedule::new(&settings.downtime)
            .map_err(|error| layers.wrong(&format!("downtime.{}", error.key), error.reason))?;
        let (fees, fingerprint) = ((fees, fees_path), layers.fingerprint(&read));
        Ok(settings.into_configuration(source.environment, tomes, fees, downtime, fingerprint))
    }

    /// The tome of a strategy.
    #[must_use]
    pub fn tome(&self, id: &StrategyId) -> Option<&Tome> {
        self.tomes.iter().find(|tome| tome.id == *id)
    }
}

/// The names of all tomes in `folder`, sorted: for whoever chooses strategies by product.
///
/// # Errors
/// The folder can't be read, or a tome in it is wrong.
pub fn tomes_in(folder: &Path) -> Result<Vec<Tome>, ConfigurationError> {
    let strategies = folder.join("strategies");
    let unreadable = |source| ConfigurationError::Unreadable { file: strategies.clone(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&strategies).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    files.iter().map(|file| parse_tome(file, &text(file)?)).collect()
}

fn tomes(
    layers: &Layers,
    folder: &Path,
    names: &[String],
    read: &mut BTreeMap<String, String>,
) -> Result<Vec<Tome>, ConfigurationError> {
    let mut tomes = Vec::new();
    for name in names {
        let id =
            StrategyId::new(name).map_err(|error| layers.wrong("strategies", error.to_string()))?;
        if read.contains_key(id.as_str()) {
            return Err(layers.wrong("strategies", format!("`{name}` stands there twice")));
        }
        let file = folder.join("strategies").join(format!("{name}.json"));
        let text = text(&file)?;
        tomes.push(parse_tome(&file, &text)?);
        read.insert(name.clone(), text);
    }
    Ok(tomes)
}

fn parse_tome(file: &Path, text: &str) -> Result<Tome, ConfigurationError> {
    Tome::parse(&file.display().to_string(), text).map_err(ConfigurationError::Tome)
}

fn text(file: &Path) -> Result<String, ConfigurationError> {
    let unreadable = |source| ConfigurationError::Unreadable { file: PathBuf::from(file), source };
    std::fs::read_to_string(file).map_err(unreadable)
}

#[cfg(test)]
mod tests;
