//! What early exercise adds to the lines of an expiry, renewed as the market moves.
//!
//! A premium is solved at the volatility that the *other* quotes give a line, so that its own quote
//! has no say in its fair value, and is followed along its slopes in between. The work of one round
//! is bounded: what is due beyond it waits for the next round, where it left off. A line whose
//! premium is not known yet is not traded on; one that can't be priced has none.

use super::chain::Chain;
use super::settings::BookCounts;
use crate::early_exercise::{Added, ExerciseTerms, Expansion, Moment, implied_vol};
use market::corporate_action::DividendSchedule;
use market::instrument::ExerciseStyle;
use market::time::{Date, Timestamp};
use pricing::black::OptionKind;
use pricing::dividends::CashDividend;

/// Work of one round on what is due, in about microseconds on a current core; and on what is not
/// known, or follows from what was not.
pub(super) const DUE_WORK: u32 = 5_000;
pub(super) const FIRST_WORK: u32 = 50_000;
/// A premium without cash dividends; a call for each of them; a put, and each of them for it.
const PLAIN_WORK: u32 = 10;
const CALL_DIVIDEND_WORK: u32 = 40;
const PUT_WORK: u32 = 200;
const PUT_DIVIDEND_WORK: u32 = 350;

/// A premium is solved anew when its slopes may be wrong by so many ticks.
const TOLERANCE_TICKS: f64 = 0.1;

/// Volatilities of options best exercised that one round solves in full.
const EXERCISED_VOLS: u32 = 256;

const SECONDS_PER_DAY: i64 = 86_400;

/// What early exercise adds to a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Early {
    /// A European option: nothing.
    Never,
    /// Not solved yet.
    Unknown,
    /// It can't be priced, as found at this time: nothing.
    Refused(Timestamp),
    /// Known, and what it is at the moment at the volatility that it was solved at.
    Known(Expansion, Added),
}

/// What a round has solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Renewed {
    /// For the first time.
    pub(super) unknown: usize,
    /// Anew.
    pub(super) due: usize,
}

impl Renewed {
    pub(super) const fn any(self) -> bool {
        self.unknown + self.due > 0
    }
}

/// What could not be priced is tried again after so many seconds.
const RETRY_SECONDS: u64 = 600;

impl Early {
    pub(super) fn of(style: ExerciseStyle) -> Self {
        match style {
            ExerciseStyle::European => Self::Never,
            ExerciseStyle::American => Self::Unknown,
        }
    }

    pub(super) const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Exercise is best now.
    pub(super) const fn is_exercised(&self) -> bool {
        matches!(self, Self::Known(known, _) if known.is_exercised())
    }

    /// At the moment, at the volatility that it was solved at.
    pub(super) fn now(&self) -> Added {
        match self {
            Self::Known(_, added) => *added,
            Self::Never | Self::Unknown | Self::Refused(_) => Added::default(),
        }
    }

    /// At the moment, at another volatility nearby.
    pub(super) fn at_vol(&self, vol: f64) -> Added {
        match self {
            Self::Known(known, added) => {
                let price = (added.price + added.vega * (vol - known.vol())).max(0.0);
                Added { price, ..*added }
            }
            Self::Never | Self::Unknown | Self::Refused(_) => Added::default(),
        }
    }

    /// The option's price from that of the European one at a volatility, and what exercise pays.
    pub(super) fn price(&self, european: f64, vol: f64, exercise: f64) -> f64 {
        match self {
            Self::Never => european,
            // Where exercise is best the value does not follow the slopes in vol.
            Self::Known(known, _) if known.is_exercised() => european.max(exercise),
            Self::Unknown | Self::Refused(_) | Self::Known(..) => {
                (european + self.at_vol(vol).price).max(exercise)
            }
        }
    }

    /// The volatility of a price whose European part has this one; `None` where exercise is best.
    pub(super) fn american_vol(&self, european: f64) -> Option<f64> {
        match self {
            Self::Known(known, _) => known.american_vol(european),
            Self::Never | Self::Unknown | Self::Refused(_) => Some(european),
        }
    }
}

impl Chain {
    /// Takes the dividends that go ex before the expiry.
    pub(super) fn set_dividends(&mut self, schedule: &DividendSchedule) {
        let epoch = Date::parse("1970-01-01").expect("it is a day");
        let before_expiry = schedule.iter().filter(|(ex_date, _)| *ex_date <= self.expiry);
        let midnight = |day: Date| i64::from(epoch.days_until(day)) * SECONDS_PER_DAY;
        self.dividends = before_expiry
            .map(|(day, cash)| (Timestamp::from_seconds(midnight(day)), cash.to_f64()))
            .collect();
        self.touched = true;
    }

    /// Brings the known premiums to this moment's spot and time.
    pub(super) fn expand_premiums(&mut self) {
        let now = self.moment(0.0);
        for input in &mut self.inputs {
            if let Early::Known(known, added) = &mut input.early {
                *added = known.at(&Moment { vol: known.vol(), ..now });
            }
        }
    }

    fn moment(&self, vol: f64) -> Moment {
        Moment { spot: self.carry.spot(), vol, years: self.years, carry: self.carry.ratio }
    }

    /// Solves what is not known yet, and what is due as far as `due_work` goes.
    pub(super) fn renew_premiums(
        &mut self,
        mut due_work: u32,
        now: Timestamp,
        counts: &mut BookCounts,
    ) -> Renewed {
        let mut first_work = FIRST_WORK;
        let lines = self.inputs.len();
        let mut first_left = None;
        let mut found = Renewed::default();
        let mut ahead: Vec<CashDividend> = Vec::new();
        for step in 0..lines {
            let at = (self.next_renewal + step) % lines;
            let Some(vol) = self.vol_for_premium(at) else { continue };
            let moment = self.moment(vol);
            let unknown = match &self.inputs[at].early {
                Early::Never => continue,
                Early::Unknown => true,
                Early::Refused(tried) if now.since(*tried).as_secs() < RETRY_SECONDS => continue,
                Early::Refused(_) => false,
                Early::Known(known, _) => {
                    let ask = self.lines[at].quote.ask.map(|level| level.price);
                    let tick = self.inputs[at].tick.increment(ask.unwrap_or_default()).to_f64();
                    if !known.is_due(&moment, TOLERANCE_TICKS * tick) {
                        continue;
                    }
                    false
                }
            };
            if ahead.is_empty() && !self.carry.is_on_future() {
                ahead.extend(self.dividends_ahead(now));
            }
            let work = work(ahead.len() as u32, self.inputs[at].is_call);
            let left = if unknown { &mut first_work } else { &mut due_work };
            // One is always done, however long it takes.
            if work > *left && found.any() {
                first_left = first_left.or(Some(at));
                continue;
            }
            *left = left.saturating_sub(work);
            let solved = Expansion::solve(&self.exercise_terms(at, &ahead, vol));
            counts.premiums_solved += 1;
            self.inputs[at].early = match solved {
                Some(known) => Early::Known(known, known.at(&moment)),
                None => Early::Refused(now),
            };
            let counter = if unknown { &mut found.unknown } else { &mut found.due };
            *counter += 1;
        }
        self.next_renewal = first_left.unwrap_or(0);
        // What is left is gone on with in the next round, whichever expiry's quotes call for it.
        self.touched |= first_left.is_some();
        found
    }

    fn exercise_terms<'a>(
        &self,
        at: usize,
        dividends: &'a [CashDividend],
        vol: f64,
    ) -> ExerciseTerms<'a> {
        let input = &self.inputs[at];
        ExerciseTerms {
            spot: (!self.carry.is_on_future()).then_some(self.carry.spot()),
            dividends,
            years: self.years,
            forward: self.carry.forward(),
            forward_error: self.carry.forward_error,
            discount: self.carry.discount,
            strike: input.strike,
            kind: if input.is_call { OptionKind::Call } else { OptionKind::Put },
            vol,
        }
    }

    /// The volatilities of new quotes of options that are best exercised at the others': one step
    /// from there can't reach them. They say too little of it to enter the smile.
    pub(super) fn vols_of_exercised(&mut self, now: Timestamp, counts: &mut BookCounts) {
        if self.carry.is_on_future() || self.dividends_ahead(now).next().is_none() {
            let mut left = EXERCISED_VOLS;
            for at in 0..self.inputs.len() {
                let input = &self.inputs[at];
                let wanted = input.early.is_exercised() && input.dirty;
                let quote = self.valid_quote(at as u32).filter(|_| wanted);
                let Some((bid, ask)) = quote.filter(|_| left > 0) else { continue };
                left -= 1;
                let terms = self.exercise_terms(at, &[], 0.0);
                self.lines[at].implied_vol = implied_vol(0.5 * (bid + ask), &terms);
                counts.implied_vols_solved += u64::from(self.lines[at].implied_vol.is_some());
            }
        }
    }

    /// By the other quotes; where they name none, by its own.
    fn vol_for_premium(&self, at: usize) -> Option<f64> {
        let line = &self.lines[at];
        let quoted = Some(self.inputs[at].quoted_vol).filter(|vol| !vol.is_nan());
        line.fair.map(|fair| fair.vol).or(line.implied_vol).or(quoted)
    }

    /// The dividends that go ex between now and the expiry.
    pub(super) fn dividends_ahead(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = CashDividend> + '_ {
        let ahead = self.dividends.iter().filter(move |(ex, _)| *ex > now);
        ahead.map(move |&(ex, cash)| CashDividend { years: now.years_until(ex), cash })
    }
}

fn work(dividends: u32, is_call: bool) -> u32 {
    match (dividends, is_call) {
        (0, _) => PLAIN_WORK,
        (count, true) => CALL_DIVIDEND_WORK * count,
        (count, false) => PUT_WORK + PUT_DIVIDEND_WORK * count,
    }
}
