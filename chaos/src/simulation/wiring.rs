//! What a simulated node is given instead of the world: memory, virtual time, the venue next door.

use super::SimulationError;
use super::life::Life;
use actors::book_keeper::BookKeeper;
use actors::journal::{JournalPort, WriterMode};
use actors::layers::StrategyLayers;
use actors::node::{Runtimes, StrategyPlan, Wiring};
use actors::runtime::clock::Clock;
use broker::port::{DataPort, OrderPort};
use broker::simulated::{PortSpec, SimulatedDataPort, SimulatedOrderPort};
use broker::wire_fence::WireFence;
use desk::desk::DeskConfig;
use desk::fold::Books;
use desk::record::Record;
use risk::cognition::Conditions;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{Chain, JournalOptions, Seq};
use strategy::certificate::Environment;
use strategy::tome::Tome;
use trading::id::{Epoch, InstallId};
use trading::trading_state::HaltEpoch;

/// The modelled time of a write with its sync: what a good disk takes, to tokio's timer resolution.
const SYNC: Duration = Duration::from_millis(1);
/// Small segments: a simulated day has few records, and shall see segments change.
const SEGMENT_BYTES: u64 = 1 << 20;

/// The wiring of one life.
pub fn wire(life: &Life<'_>, clock: &Clock) -> Result<Wiring, SimulationError> {
    let spec = life.spec;
    let settings = &spec.settings;
    let install = InstallId(spec.seed as u32);
    let keeper = BookKeeper::at_rest(spec.medium.disk(), newest_snapshot(life)?);
    // The folded latches decide; here is only the epoch, which must never go back.
    let epoch = keeper.at(Seq::ZERO, |books| books.latches.halt_epoch).unwrap_or_default();
    let fence = Arc::new(WireFence::new(HaltEpoch(epoch.0 + u64::from(life.number)), None));
    let now = clock.clone();
    let port = PortSpec { now: Arc::new(move || now.now().market), fence: Arc::clone(&fence) };
    let venue = Arc::clone(life.venue);
    let tallies = life.tallies.clone();
    let alarm: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(move |text| {
        tracing::warn!(text, "alarm");
        tallies.alarm(text);
    });
    let tallies = life.tallies.clone();
    let medium = spec.medium.clone();
    let mut options = JournalOptions::new(0);
    options.segment_bytes = SEGMENT_BYTES;
    let mut desk = DeskConfig::new(install, Epoch(0), settings.account.clone());
    desk.settle = Duration::from_millis(settings.link.settle_ms).max(Duration::from_secs(2));
    let data: Arc<Mutex<dyn DataPort>> =
        Arc::new(Mutex::new(SimulatedDataPort::new(Arc::clone(life.venue))));
    Ok(Wiring {
        runtimes: Runtimes::one(tokio::runtime::Handle::current()),
        disk: spec.medium.disk(),
        journal: options,
        writer: WriterMode::Inline { latency: SYNC },
        started: Record::Started {
            install,
            account: settings.account.clone(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            configuration: settings.configuration.clone(),
            environment: "simulation".to_owned(),
        },
        open_snapshots: Arc::new(move || medium.snapshots()),
        keeper,
        // Virtual hours pass in moments, and an hour's tail is soon folded.
        snapshot_interval: Duration::from_secs(3_600),
        snapshot_records: 20_000,
        order_port: Arc::new(move || {
            let port = SimulatedOrderPort::new(Arc::clone(&venue), port.clone());
            Box::new(port) as Box<dyn OrderPort>
        }),
        data,
        fence,
        products: spec.products.clone(),
        past: Vec::new(),
        strategies: settings.tomes.iter().map(plan).collect(),
        environment: Environment::Paper,
        limits: settings.limits.clone(),
        breakers: settings.breakers.clone(),
        link: settings.link,
        downtime: settings.downtime.clone(),
        reconcile: settings.reconcile,
        desk,
        kernel: "black76/libm".to_owned(),
        halt_file: Arc::new(life.halt_file.clone()),
        audit: life.audit.clone(),
        port: JournalPort::new(),
        abort: Arc::new(move |why| tallies.alarm(&format!("abort: {why}"))),
        alarm,
        extra: Vec::new(),
    })
}

/// How a tome is seated.
#[must_use]
pub fn plan(tome: &Tome) -> StrategyPlan {
    let conditions = &tome.conditions;
    StrategyPlan {
        id: tome.id.clone(),
        tome: Arc::new(tome.clone()),
        layers: StrategyLayers {
            symbol: tome.symbol.clone(),
            conditions: Conditions {
                realised_vol_max: conditions.realised_vol_max,
                implied_vol_min: conditions.implied_vol_min,
                implied_vol_max: conditions.implied_vol_max,
                fresh_share_min: conditions.fresh_share_min,
                view_age_ms_max: None,
            },
            fingerprint: tome.fingerprint(),
            certificate: None,
        },
    }
}

fn newest_snapshot(life: &Life<'_>) -> Result<Option<(Books, Seq, Chain)>, SimulationError> {
    let state = |why: String| SimulationError::State(why);
    let store = life.spec.medium.snapshots().map_err(state)?;
    let newest = store.latest_valid().map_err(|error| state(error.to_string()))?;
    let Some(snapshot) = newest.snapshot else { return Ok(None) };
    let books = Books::decode(&snapshot.payload).map_err(|error| state(error.to_string()))?;
    Ok(Some((books, snapshot.seq, snapshot.chain)))
}
