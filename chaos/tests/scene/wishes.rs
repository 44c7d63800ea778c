//! A wish that a test makes in the name of a running strategy.

use actors::messages::DeskMessage;
use chaos::simulation::director::Stage;
use market::instrument::ConId;
use market::money::Quantity;
use std::time::Duration;
use trading::id::{Epoch, InstallId, IntentKey, StrategyId};
use trading::intent::{Intent, Purpose, Target};

/// Far above the keys that the strategy itself draws.
const SEQ: u32 = 1_000_000;

/// An entry into one instrument at the venue's middle.
pub fn wish(stage: &Stage, strategy: &str, con_id: ConId, position: i64) {
    let now = stage.clock.now().market;
    let limit = stage.venue.with_exchange(|exchange| exchange.mark(con_id)).unwrap();
    // To a cent, as every tick of the hand-made market.
    let limit = market::money::Price::from_micros(limit.micros() / 10_000 * 10_000);
    let key = IntentKey {
        install: InstallId(7),
        epoch: Epoch(stage.parts.journal.epoch()),
        strategy: StrategyId::new(strategy).unwrap(),
        seq: SEQ,
    };
    let intent = Intent {
        key,
        target: Target::Single { con_id, position: Quantity(position) },
        limit,
        purpose: Purpose::Entry,
        valid_until: now.plus(Duration::from_secs(60)),
        created: now,
        view_version: 0,
    };
    stage.parts.desk.send(DeskMessage::Intent(Box::new(intent))).unwrap();
}
