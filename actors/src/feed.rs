//! A product's feed: raw quotes of its data lines through the quality gates to the pricing book.
//!
//! *Restart:* empty; it subscribes again, each line is confirmed and sends its current quote.
//! *Loses:* nothing that the next quote of a line doesn't replace.

use crate::lines::{PRODUCT_LINES_MAX, ProductLines};
use crate::pricing::PricingMessage;
use crate::runtime::clock::Clock;
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use crate::runtime::role_ref::PinnedRef;
use crate::runtime::role_ref::RoleRef;
use crate::runtime::slot::{LineSlots, Stamped};
use broker::port::{DataPort, DataSink};
use market::calendar::Calendar;
use market::instrument::ConId;
use market::money::Price;
use market::quality::{FlawCounts, Gates, Verdict};
use market::quote::{DataType, RawQuote};
use std::sync::{Arc, Mutex, PoisonError};
use valuation::book::LineUpdate;

/// What a feed needs.
#[derive(Clone)]
pub struct FeedSpec {
    /// The product's lines.
    pub lines: Arc<ProductLines>,
    /// The data connection.
    pub data: Arc<Mutex<dyn DataPort>>,
    /// When the product trades.
    pub calendar: Arc<Calendar>,
    /// The gates' settings.
    pub gates: Gates,
    /// Who values the quotes.
    pub pricing: RoleRef<PricingMessage>,
    /// The verdicts of this process so far, for metrics and reports.
    pub counts: Arc<Mutex<FlawCounts>>,
}

/// What a feed is told.
#[derive(Clone, Debug)]
pub enum FeedMessage {
    /// Lines have new quotes.
    Wake,
    /// The product has new lines: subscribe again.
    Listed,
}

impl RoleMessage for FeedMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Wake => "wake",
            Self::Listed => "listed",
        }
    }
}

/// Takes quotes from the data connection's thread into the slots of one incarnation.
struct Intake {
    raw: LineSlots<RawQuote>,
    confirmed: Mutex<Vec<Option<DataType>>>,
    feed: PinnedRef<FeedMessage>,
    clock: Clock,
}

impl DataSink for Intake {
    fn quotes(&self, batch: &[(u32, RawQuote)]) {
        let lines = batch.iter().map(|(line, quote)| (*line as usize, *quote));
        let wake = self.raw.publish_batch(lines, self.clock.now());
        if wake.is_needed() && self.feed.send(FeedMessage::Wake).is_err() {
            self.raw.wake_failed();
        }
    }

    fn confirmed(&self, line: u32, data: DataType) {
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = confirmed.get_mut(line as usize) {
            *state = Some(data);
        }
    }
}

/// The role.
pub struct FeedRole {
    spec: FeedSpec,
    intake: Arc<Intake>,
    live: Vec<bool>,
    ticks: Vec<Price>,
    scratch: Vec<(usize, Stamped<RawQuote>)>,
    judged: Vec<(usize, LineUpdate)>,
}

impl FeedRole {
    /// Subscribes.
    pub fn start(spec: &FeedSpec, cx: &mut Context<FeedMessage>) -> Result<Self, RoleError> {
        let intake = Arc::new(Intake {
            raw: LineSlots::new(PRODUCT_LINES_MAX),
            confirmed: Mutex::new(vec![None; PRODUCT_LINES_MAX]),
            feed: cx.pinned_ref(),
            clock: cx.clock().clone(),
        });
        let mut role = Self {
            spec: spec.clone(),
            intake,
            live: Vec::new(),
            ticks: Vec::new(),
            scratch: Vec::new(),
            judged: Vec::new(),
        };
        role.subscribe();
        Ok(role)
    }

    fn subscribe(&mut self) {
        let con_ids: Vec<ConId> = {
            let instruments = self.spec.lines.instruments();
            // One increment a line: the finest, which makes the stub gate stricter, never looser.
            self.ticks = instruments.iter().map(|each| each.tick.increment(Price::ZERO)).collect();
            instruments.iter().map(|instrument| instrument.con_id).collect()
        };
        let sink: Arc<dyn DataSink> = Arc::clone(&self.intake) as _;
        let mut data = self.spec.data.lock().unwrap_or_else(PoisonError::into_inner);
        data.subscribe(self.spec.lines.symbol(), &con_ids, sink);
    }

    fn drain(&mut self, cx: &mut Context<FeedMessage>) {
        let now = cx.now();
        let open = self.spec.calendar.is_open(now.market);
        {
            let confirmed = self.intake.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
            self.live.clear();
            let lines = self.ticks.len();
            self.live.extend(confirmed[..lines].iter().map(|data| *data == Some(DataType::Live)));
        }
        self.judged.clear();
        let (gates, ticks, live) = (&self.spec.gates, &self.ticks, &self.live);
        let judged = &mut self.judged;
        let mut counts = self.spec.counts.lock().unwrap_or_else(PoisonError::into_inner);
        self.intake.raw.drain_with(&mut self.scratch, |line, stamped| {
            let verdict = gates.judge(ticks[line], &stamped.value, now.market, open);
            counts.add(&verdict);
            let quote = match verdict {
                Verdict::Sound(quote) | Verdict::Flawed(_, quote) => quote,
                Verdict::Unreadable => market::quote::Quote::empty(stamped.value.time),
            };
            let two_sided_valid = verdict.is_tradable();
            judged.push((line, LineUpdate { quote, two_sided_valid, live: live[line] }));
        });
        drop(counts);
        let wake = self.spec.lines.quotes().publish_batch(self.judged.drain(..), now);
        if wake.is_needed() && self.spec.pricing.send(PricingMessage::Wake).is_err() {
            self.spec.lines.quotes().wake_failed();
        }
    }
}

impl Role for FeedRole {
    type Message = FeedMessage;

    fn handle(
        &mut self,
        message: FeedMessage,
        cx: &mut Context<FeedMessage>,
    ) -> Result<(), RoleError> {
        match message {
            FeedMessage::Wake => {
                self.drain(cx);
                cx.ready();
            }
            FeedMessage::Listed => self.subscribe(),
        }
        Ok(())
    }
}
