//! What the live node is given: the disk, the venue's ports, its own threads, the configuration.

use super::halt_file::RealHaltFile;
use super::runtimes::NodeRuntimes;
use super::state::{self, StateFolder};
use super::venue::Venue;
use crate::cli::Environment;
use crate::configuration::Configuration;
use actors::auditor::Audit;
use actors::journal::{JournalPort, WriterMode};
use actors::node::{Product, Wiring};
use broker::ib::IbOrderPort;
use broker::port::OrderPort;
use broker::wire_fence::WireFence;
use chaos::simulation::seat;
use desk::desk::DeskConfig;
use desk::reconcile::ReconcilePolicy;
use desk::record::Record;
use exchange::builtin::RATE;
use market::instrument::Instrument;
use market::quality::Gates;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use store::SnapshotStore;
use strategy::certificate::Environment as CertificateEnvironment;
use trading::id::Epoch;
use valuation::book::BookSettings;

/// Everything that the tree of `run` is made from.
#[expect(clippy::too_many_arguments, reason = "called once; a struct would only be unpacked again")]
#[must_use]
pub fn wiring(
    configuration: &Configuration,
    folder: &StateFolder,
    venue: &Venue,
    runtimes: &NodeRuntimes,
    fence: &Arc<WireFence>,
    audit: &Audit,
    port: &JournalPort,
    halt_file: &Arc<RealHaltFile>,
) -> Wiring {
    let now = venue.clock.now().market;
    let (gateway, fenced) = (venue.gateway.clone(), Arc::clone(fence));
    let mut desk = DeskConfig::new(folder.install, Epoch(0), configuration.account.clone());
    desk.backlog_records_max =
        usize::try_from(configuration.journal.not_durable_records_max).unwrap_or(usize::MAX);
    desk.backlog_age_max = configuration.journal.not_durable_max;
    let is_past = |one: &Instrument| one.last_trade().is_some_and(|last| last <= now);
    let mut symbols: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for instrument in venue.instruments.iter().filter(|one| !is_past(one)) {
        symbols.entry(&instrument.symbol).or_default().push(instrument.clone());
    }
    let products = symbols
        .into_iter()
        .map(|(symbol, instruments)| Product {
            symbol: symbol.to_owned(),
            dividends: venue.dividends.get(symbol).cloned().unwrap_or_default(),
            calendar: Arc::new(venue.calendar(&instruments)),
            instruments,
            gates: Gates::default(),
            // The built-in market has a rate of its own, which American quotes do not name.
            settings: BookSettings {
                rate_guess: if venue.is_simulated {
                    RATE
                } else {
                    configuration.pricing.rate_guess
                },
                ..configuration.pricing.clone()
            },
        })
        .collect();
    let open: std::path::PathBuf = folder.path.clone();
    Wiring {
        runtimes: runtimes.tree(tokio::runtime::Handle::current()),
        disk: folder.disk.clone(),
        journal: folder.journal_options(configuration),
        writer: WriterMode::Thread,
        started: Record::Started {
            install: folder.install,
            account: configuration.account.clone(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            configuration: configuration.fingerprint.clone(),
            environment: configuration.environment.name().to_owned(),
        },
        open_snapshots: Arc::new(move || open_snapshots(&open)),
        keeper: folder.keeper.clone(),
        snapshot_interval: configuration.snapshots.every,
        snapshot_records: configuration.snapshots.every_records,
        order_port: Arc::new(move || {
            Box::new(IbOrderPort::new(gateway.clone(), Arc::clone(&fenced))) as Box<dyn OrderPort>
        }),
        data: Arc::new(Mutex::new(venue.data.clone())),
        fence: Arc::clone(fence),
        products,
        past: venue.instruments.iter().filter(|one| is_past(one)).cloned().collect(),
        strategies: configuration.tomes.iter().map(seat).collect(),
        environment: match configuration.environment {
            Environment::Live => CertificateEnvironment::Live,
            Environment::Dev | Environment::Paper => CertificateEnvironment::Paper,
        },
        limits: configuration.limits.clone(),
        breakers: configuration.breakers.clone(),
        link: configuration.link,
        downtime: configuration.downtime.clone(),
        reconcile: ReconcilePolicy::default(),
        desk,
        kernel: "black76/libm".to_owned(),
        halt_file: Arc::clone(halt_file) as _,
        audit: audit.clone(),
        port: port.clone(),
        abort: Arc::new(|why| {
            eprintln!("optionsib: {why}; the process ends at once");
            std::process::exit(70);
        }),
        alarm: Arc::new(|text| tracing::warn!(text, "alarm")),
        extra: Vec::new(),
    }
}

fn open_snapshots(state: &Path) -> Result<Box<dyn SnapshotStore>, String> {
    state::open_snapshots(state)
        .map(|store| Box::new(store) as Box<dyn SnapshotStore>)
        .map_err(|error| error.to_string())
}
