//! The keys of the configuration files as strict types, and the ranges of their values.

use super::layers::Layers;
use super::{
    BrokerAccess, BrokerKind, BrokerSettings, Configuration, ConfigurationError, JournalSettings,
};
use super::{LogSettings, MarketSettings};
use super::{SCHEMA_VERSION, SnapshotSettings, VenueSettings, WatchdogSettings};
use crate::cli::Environment;
use broker::downtime::{DowntimeSchedule, DowntimeSettings};
use broker::link::LinkTiming;
use exchange::fees::FeeSchedule;
use market::money::{Currency, Money};
use risk::breaker::BreakerLimits;
use risk::limits::Limits;
use risk::setting::{LimitsError, money_text};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use strategy::tome::Tome;
use trading::id::AccountId;
use valuation::book::BookSettings;

/// The merged files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    schema_version: u32,
    environment: String,
    account: Account,
    broker: Broker,
    pub(super) strategies: Vec<String>,
    api: Api,
    market: Market,
    pub(super) venue: Venue,
    link: LinkTiming,
    pub(super) downtime: DowntimeSettings,
    journal: Journal,
    snapshots: Snapshots,
    limits: Limits,
    breakers: BreakerLimits,
    pricing: BookSettings,
    watchdog: Watchdog,
    chaos: Chaos,
    log: Log,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Broker {
    kind: BrokerKind,
    address: SocketAddr,
    order_client_id: i32,
    data_client_id: i32,
    lines: u16,
}

/// The keys that a connection to the broker needs, whatever stands beside them.
#[derive(Deserialize)]
pub(super) struct BrokerKeys {
    account: AnyAccount,
    broker: AnyBroker,
}

#[derive(Deserialize)]
struct AnyAccount {
    id: String,
}

#[derive(Deserialize)]
struct AnyBroker {
    kind: BrokerKind,
    address: SocketAddr,
    order_client_id: i32,
}

impl BrokerKeys {
    pub(super) fn access(self) -> BrokerAccess {
        BrokerAccess {
            kind: self.broker.kind,
            address: self.broker.address,
            order_client: self.broker.order_client_id,
            account: AccountId(self.account.id),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Api {
    listen: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Market {
    seed: u64,
    speed: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Venue {
    request_latency_ms: u64,
    report_latency_ms: u64,
    #[serde(with = "money_text")]
    starting_cash: Money,
    pub(super) fees: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Journal {
    segment_mib: u64,
    not_durable_records_max: u64,
    not_durable_ms_max: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshots {
    every_records: u64,
    every_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watchdog {
    poll_ms: u64,
    grace_ms: u64,
    journal_age_max_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chaos {
    permitted: bool,
    longest_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    filter: String,
    file: bool,
}

/// Numbers with the smallest and the largest that may stand there.
type Range = (&'static str, f64, f64, f64);

impl Settings {
    /// Parses the layers and checks every value.
    pub(super) fn check(layers: &Layers, asked: Environment) -> Result<Self, ConfigurationError> {
        let settings: Self = layers.parse()?;
        if settings.schema_version != SCHEMA_VERSION {
            let found = settings.schema_version;
            let reason = format!("{found} is not a version that this build reads, it reads 1");
            return Err(layers.wrong("schema_version", reason));
        }
        if settings.environment != asked.name() {
            let (found, asked) = (&settings.environment, asked.name());
            let reason = format!("`{found}` stands in the file of `{asked}`, write `{asked}`");
            return Err(layers.wrong("environment", reason));
        }
        settings.check_account(layers, asked)?;
        if !settings.api.listen.ip().is_loopback() {
            let reason = format!(
                "{} can be reached from other machines, write 127.0.0.1 or [::1] and a port",
                settings.api.listen
            );
            return Err(layers.wrong("api.listen", reason));
        }
        for (key, value, least, most) in settings.ranges() {
            // Written so that NaN fails.
            if !(least..=most).contains(&value) {
                let reason = format!("{value} is not allowed, write {least} to {most}");
                return Err(layers.wrong(key, reason));
            }
        }
        if asked == Environment::Live && settings.broker.kind != BrokerKind::Ib {
            let reason = "real money is traded at ib, write ib".to_owned();
            return Err(layers.wrong("broker.kind", reason));
        }
        if settings.broker.order_client_id == settings.broker.data_client_id {
            let reason = "it is broker.order_client_id too, two clients need two".to_owned();
            return Err(layers.wrong("broker.data_client_id", reason));
        }
        if settings.link.backoff_min_ms > settings.link.backoff_max_ms {
            let reason = "it is above link.backoff_max_ms".to_owned();
            return Err(layers.wrong("link.backoff_min_ms", reason));
        }
        if settings.strategies.is_empty() {
            return Err(layers.wrong("strategies", "name at least one strategy".to_owned()));
        }
        let in_section = |section: &str, error: LimitsError| {
            let key = match &error {
                LimitsError::Range { field, .. } => format!("{section}.{field}"),
                LimitsError::Stress => format!("{section}.stress"),
            };
            layers.wrong(&key, error.to_string())
        };
        settings.limits.validate().map_err(|error| in_section("limits", error))?;
        settings.breakers.validate().map_err(|error| in_section("breakers", error))?;
        if settings.limits.currency != Currency::USD {
            let reason =
                format!("{} is not traded by this build, write USD", settings.limits.currency);
            return Err(layers.wrong("limits.currency", reason));
        }
        Ok(settings)
    }

    fn check_account(&self, layers: &Layers, asked: Environment) -> Result<(), ConfigurationError> {
        let id = self.account.id.as_str();
        let plain = (2..=20).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let is_paper = AccountId(id.to_owned()).is_paper();
        let (fits, allowed) = match asked {
            Environment::Dev | Environment::Paper => (is_paper, "a paper account (DU...)"),
            Environment::Live => (!is_paper, "a live account, not DU..."),
        };
        if plain && fits {
            return Ok(());
        }
        let name = asked.name();
        let reason = format!("`{id}` can't be traded in {name}, write {allowed}, in A-Z and 0-9");
        Err(layers.wrong("account.id", reason))
    }

    fn ranges(&self) -> Vec<Range> {
        let Self {
            broker, market, venue, link, journal, snapshots, pricing, watchdog, chaos, ..
        } = self;
        let ms = |value: u64| value as f64;
        vec![
            ("broker.order_client_id", f64::from(broker.order_client_id), 0.0, 999.0),
            ("broker.data_client_id", f64::from(broker.data_client_id), 1.0, 999.0),
            ("broker.lines", f64::from(broker.lines), 20.0, 5_000.0),
            ("market.speed", market.speed, 0.1, 1_000.0),
            ("venue.request_latency_ms", ms(venue.request_latency_ms), 0.0, 10_000.0),
            ("venue.report_latency_ms", ms(venue.report_latency_ms), 0.0, 10_000.0),
            ("venue.starting_cash", venue.starting_cash.to_f64(), 0.0, 1e12),
            ("link.settle_ms", ms(link.settle_ms), 0.0, 60_000.0),
            ("link.connect_timeout_ms", ms(link.connect_timeout_ms), 100.0, 120_000.0),
            ("link.backoff_min_ms", ms(link.backoff_min_ms), 1.0, 600_000.0),
            ("link.backoff_max_ms", ms(link.backoff_max_ms), 1.0, 600_000.0),
            ("link.unready_limit_ms", ms(link.unready_limit_ms), 1_000.0, 3_600_000.0),
            ("link.human_after_ms", ms(link.human_after_ms), 1_000.0, 3_600_000.0),
            ("link.probe_ms", ms(link.probe_ms), 1_000.0, 3_600_000.0),
            ("journal.segment_mib", ms(journal.segment_mib), 1.0, 1_024.0),
            (
                "journal.not_durable_records_max",
                ms(journal.not_durable_records_max),
                16.0,
                60_000.0,
            ),
            ("journal.not_durable_ms_max", ms(journal.not_durable_ms_max), 10.0, 60_000.0),
            ("snapshots.every_records", ms(snapshots.every_records), 100.0, 1e9),
            ("snapshots.every_seconds", ms(snapshots.every_seconds), 1.0, 86_400.0),
            ("pricing.rate_guess", pricing.rate_guess, -0.1, 1.0),
            ("pricing.rate_guess_error", pricing.rate_guess_error, 1e-6, 1.0),
            ("pricing.parity_max_log_moneyness", pricing.parity_max_log_moneyness, 0.001, 5.0),
            (
                "pricing.full_recompute_seconds",
                f64::from(pricing.full_recompute_seconds),
                1.0,
                3_600.0,
            ),
            (
                "pricing.surface_refit_seconds",
                f64::from(pricing.surface_refit_seconds),
                0.0,
                86_400.0,
            ),
            ("pricing.smile_roughness", pricing.smile_roughness, 0.001, 1_000.0),
            ("pricing.fresh_standard_errors", pricing.fresh_standard_errors, 0.0, 1_000.0),
            ("pricing.fresh_ticks", pricing.fresh_ticks, 0.0, 1_000.0),
            ("pricing.fresh_half_spreads", pricing.fresh_half_spreads, 0.0, 1_000.0),
            ("pricing.realised_decay", pricing.realised_decay, 0.0, 0.9999),
            ("watchdog.poll_ms", ms(watchdog.poll_ms), 10.0, 1_000.0),
            ("watchdog.grace_ms", ms(watchdog.grace_ms), 500.0, 60_000.0),
            ("watchdog.journal_age_max_ms", ms(watchdog.journal_age_max_ms), 100.0, 60_000.0),
            ("chaos.longest_seconds", ms(chaos.longest_seconds), 1.0, 86_400.0),
        ]
    }

    /// The domain types; everything has been checked.
    pub(super) fn into_configuration(
        self,
        environment: Environment,
        tomes: Vec<Tome>,
        (fees, fees_file): (FeeSchedule, PathBuf),
        downtime: DowntimeSchedule,
        fingerprint: String,
    ) -> Configuration {
        let ms = Duration::from_millis;
        let faults = self.chaos.permitted && environment != Environment::Live;
        Configuration {
            environment,
            account: AccountId(self.account.id),
            broker: BrokerSettings {
                kind: self.broker.kind,
                address: self.broker.address,
                order_client: self.broker.order_client_id,
                data_client: self.broker.data_client_id,
                lines: self.broker.lines,
            },
            api: self.api.listen,
            market: MarketSettings {
                seed: self.market.seed,
                // Within 100 to 1,000,000 by its range.
                speed_permille: (self.market.speed * 1_000.0).round() as u64,
            },
            venue: VenueSettings {
                request_latency: ms(self.venue.request_latency_ms),
                report_latency: ms(self.venue.report_latency_ms),
                starting_cash: self.venue.starting_cash,
                fees,
                fees_file,
            },
            link: self.link,
            downtime,
            journal: JournalSettings {
                segment_bytes: self.journal.segment_mib << 20,
                not_durable_records_max: self.journal.not_durable_records_max,
                not_durable_max: ms(self.journal.not_durable_ms_max),
            },
            snapshots: SnapshotSettings {
                every_records: self.snapshots.every_records,
                every: Duration::from_secs(self.snapshots.every_seconds),
            },
            limits: self.limits,
            breakers: self.breakers,
            pricing: self.pricing,
            watchdog: WatchdogSettings {
                poll: ms(self.watchdog.poll_ms),
                grace: ms(self.watchdog.grace_ms),
                journal_age_max: ms(self.watchdog.journal_age_max_ms),
            },
            faults_max: faults.then(|| Duration::from_secs(self.chaos.longest_seconds)),
            log: LogSettings { filter: self.log.filter, file: self.log.file },
            tomes,
            fingerprint,
        }
    }
}
