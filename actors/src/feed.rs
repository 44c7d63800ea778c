//! A product's feed: raw quotes of its data lines through the quality gates to the pricing book,
//! and with each whether its line is live. A line that ceases to be is told on without a quote.
//!
//! *Restart:* empty, and no line is live; it subscribes again, each line is confirmed and sends its
//! current quote.
//! *Loses:* nothing that the next quote of a line doesn't replace.

use crate::lines::{PRODUCT_LINES_MAX, ProductLines};
use crate::pricing::PricingMessage;
use crate::runtime::clock::Clock;
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use crate::runtime::role_ref::PinnedRef;
use crate::runtime::role_ref::RoleRef;
use crate::runtime::slot::{LineSlots, Stamped, Wake};
use broker::port::{DataPort, DataSink};
use market::calendar::Calendar;
use market::instrument::ConId;
use market::money::Price;
use market::quality::{FlawCounts, Gates, Verdict};
use market::quote::{DataType, Quote, RawQuote};
use market::standing::{Standing, Standings};
use market::time::Now;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Lines have new quotes, or were confirmed or lost.
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

/// A quote, with the generation of its line that it came in.
#[derive(Clone, Copy, Debug)]
struct Heard {
    quote: RawQuote,
    generation: u32,
}

/// A line's last judged quote.
#[derive(Clone, Copy, Debug)]
struct Judged {
    update: LineUpdate,
    generation: u32,
}

/// Takes quotes from the data connection's thread into the slots of one incarnation.
struct Intake {
    raw: LineSlots<Heard>,
    standings: Mutex<Standings>,
    feed: PinnedRef<FeedMessage>,
    clock: Clock,
}

impl Intake {
    fn standings(&self) -> MutexGuard<'_, Standings> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, wake: Wake) {
        if wake.is_needed() && self.feed.send(FeedMessage::Wake).is_err() {
            self.raw.wake_failed();
        }
    }
}

impl DataSink for Intake {
    fn quotes(&self, batch: &[(u32, RawQuote)]) {
        let standings = self.standings();
        let lines = batch.iter().map(|(line, quote)| {
            let line = *line as usize;
            (line, Heard { quote: *quote, generation: standings.get(line).generation() })
        });
        let wake = self.raw.publish_batch(lines, self.clock.now());
        drop(standings);
        self.wake(wake);
    }

    fn confirmed(&self, line: u32, data: DataType) {
        self.standings().told(line as usize, data);
        self.wake(self.raw.nudge());
    }
}

/// The role.
pub struct FeedRole {
    spec: FeedSpec,
    intake: Arc<Intake>,
    ticks: Vec<Price>,
    /// By line, of this incarnation.
    last: Vec<Option<Judged>>,
    scratch: Vec<(usize, Stamped<Heard>)>,
    live: Vec<bool>,
    changed: Vec<(usize, Standing)>,
    judged: Vec<(usize, LineUpdate)>,
}

impl FeedRole {
    /// Subscribes.
    pub fn start(spec: &FeedSpec, cx: &mut Context<FeedMessage>) -> Result<Self, RoleError> {
        let intake = Arc::new(Intake {
            raw: LineSlots::new(PRODUCT_LINES_MAX),
            standings: Mutex::new(Standings::new(PRODUCT_LINES_MAX)),
            feed: cx.pinned_ref(),
            clock: cx.clock().clone(),
        });
        let mut role = Self {
            spec: spec.clone(),
            intake,
            ticks: Vec::new(),
            last: Vec::new(),
            scratch: Vec::new(),
            live: Vec::new(),
            changed: Vec::new(),
            judged: Vec::new(),
        };
        role.disown_what_was_live(cx);
        role.subscribe();
        Ok(role)
    }

    /// What an earlier incarnation called live, nobody has confirmed to this one.
    fn disown_what_was_live(&mut self, cx: &Context<FeedMessage>) {
        let quotes = self.spec.lines.quotes();
        for line in 0..self.spec.lines.instruments().len() {
            if let Some(told) = quotes.latest(line).filter(|told| told.value.live) {
                self.judged.push((line, LineUpdate { live: false, ..told.value }));
            }
        }
        self.tell_pricing(cx.now());
    }

    fn subscribe(&mut self) {
        let con_ids: Vec<ConId> = {
            let instruments = self.spec.lines.instruments();
            // One increment a line: the finest, which makes the stub gate stricter, never looser.
            self.ticks = instruments.iter().map(|each| each.tick.increment(Price::ZERO)).collect();
            instruments.iter().map(|instrument| instrument.con_id).collect()
        };
        self.last.resize(con_ids.len(), None);
        let sink: Arc<dyn DataSink> = Arc::clone(&self.intake) as _;
        let mut data = self.spec.data.lock().unwrap_or_else(PoisonError::into_inner);
        data.subscribe(self.spec.lines.symbol(), &con_ids, sink);
    }

    /// Judges what was heard and tells pricing; true if any quote was new.
    fn drain(&mut self, now: Now) -> bool {
        // Quotes first: none of them is of a later generation than the standings seen after.
        let is_new = self.intake.raw.drain_with(&mut self.scratch, |_, _| {}) > 0;
        self.live.clear();
        {
            let mut standings = self.intake.standings();
            standings.take_changed(&mut self.changed);
            let live = |(line, heard): &(usize, Stamped<Heard>)| {
                standings.get(*line).is_live(heard.value.generation)
            };
            self.live.extend(self.scratch.iter().map(live));
        }
        let open = self.spec.calendar.is_open(now.market);
        let mut counts = self.spec.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for ((line, heard), live) in self.scratch.iter().zip(&self.live) {
            let Heard { quote, generation } = heard.value;
            let verdict = self.spec.gates.judge(self.ticks[*line], &quote, now.market, open);
            counts.add(&verdict);
            let two_sided_valid = verdict.is_tradable();
            let quote = match verdict {
                Verdict::Sound(quote) | Verdict::Flawed(_, quote) => quote,
                Verdict::Unreadable => Quote::empty(quote.time),
            };
            let update = LineUpdate { quote, two_sided_valid, live: *live };
            self.last[*line] = Some(Judged { update, generation });
            self.judged.push((*line, update));
        }
        drop(counts);
        for (line, standing) in &self.changed {
            let Some(Some(last)) = self.last.get_mut(*line) else { continue };
            let live = standing.is_live(last.generation);
            if mutation::active("keep_lost_lines") {
                continue;
            }
            if std::mem::replace(&mut last.update.live, live) != live {
                self.judged.push((*line, last.update));
            }
        }
        self.tell_pricing(now);
        is_new
    }

    fn tell_pricing(&mut self, now: Now) {
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
                if self.drain(cx.now()) {
                    cx.ready();
                }
            }
            FeedMessage::Listed => self.subscribe(),
        }
        Ok(())
    }
}
