//! Dividends and splits of a stock, and LEAN's factor files from which they can be recovered.
//!
//! Why: an American option's early exercise, its parity and its deliverable turn on them. A factor
//! file says how closing prices before each event compare with those after it; dividing the factors
//! back gives the cash and the ratio. Not here: what an event does to a position (trading).

use crate::calendar::Calendar;
use crate::money::Price;
use crate::time::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many new shares stand for how many old ones, without a common factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitRatio {
    /// Shares after.
    pub new: u32,
    /// Shares before.
    pub old: u32,
}

/// One event of a stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CorporateAction {
    /// An ordinary cash dividend per share; options are not adjusted for it.
    Dividend(Price),
    /// A special dividend or spin-off, by its value per share; options are adjusted for it, so
    /// their prices do not expect a drop.
    Distribution(Price),
    /// A split (7 new for 1 old) or a reverse split (1 for 3).
    Split(SplitRatio),
}

/// The ordinary cash dividends of one stock by ex-date: whoever holds the share at the close before
/// gets the cash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DividendSchedule(BTreeMap<Date, Price>);

impl DividendSchedule {
    /// Of (ex-date, cash per share); two on one day are added.
    #[must_use]
    pub fn new(dividends: impl IntoIterator<Item = (Date, Price)>) -> Self {
        let mut schedule = BTreeMap::new();
        for (ex_date, cash) in dividends {
            *schedule.entry(ex_date).or_insert(Price::ZERO) += cash;
        }
        Self(schedule)
    }

    /// The cash per share that goes ex on `day`, or zero.
    #[must_use]
    pub fn on(&self, day: Date) -> Price {
        self.0.get(&day).copied().unwrap_or(Price::ZERO)
    }

    /// The dividends that an option valued after `day`'s open and expiring on `expiry` sees: ex
    /// after `day`, up to and including `expiry`.
    pub fn between(&self, day: Date, expiry: Date) -> impl Iterator<Item = (Date, Price)> + '_ {
        // A range that ends before it starts would panic.
        let last = expiry.max(day.plus_days(1));
        let range = self.0.range(day.plus_days(1)..=last);
        range
            .filter(move |(ex_date, _)| **ex_date <= expiry)
            .map(|(ex_date, cash)| (*ex_date, *cash))
    }

    /// All dividends by rising ex-date.
    pub fn iter(&self) -> impl Iterator<Item = (Date, Price)> + '_ {
        self.0.iter().map(|(ex_date, cash)| (*ex_date, *cash))
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None are known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All events of one stock by the first day that trades without them; a day may have several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorporateActions(pub Vec<(Date, CorporateAction)>);

impl CorporateActions {
    /// The ordinary dividends among them.
    #[must_use]
    pub fn dividends(&self) -> DividendSchedule {
        DividendSchedule::new(self.0.iter().filter_map(|(day, action)| match action {
            CorporateAction::Dividend(cash) => Some((*day, *cash)),
            CorporateAction::Distribution(_) | CorporateAction::Split(_) => None,
        }))
    }
}

/// A factor file that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field} `{text}` is not {expected}")]
pub struct FactorFileError {
    /// The line, counted from 1.
    pub line: usize,
    /// Which field.
    pub field: &'static str,
    /// What stands there.
    pub text: String,
    /// What should.
    pub expected: &'static str,
}

/// A distribution above this share of the price counts as special: no US stock pays 3 % at once out
/// of the ordinary course, and the clearing house adjusts options for what is not ordinary.
const SPECIAL_SHARE: f64 = 0.03;

struct FactorRow {
    last_day: Date,
    price_factor: f64,
    split_factor: f64,
    close: f64,
}

/// Reads a LEAN factor file: `date,price factor,split factor,close`, each row valid up to and
/// including its date. An event takes effect on the next trading day of `calendar` (before the
/// calendar's first year: on the next weekday). Cash is rounded to a hundredth of a cent, which is
/// what seven-digit factors can carry.
pub fn read_factor_file(
    text: &str,
    calendar: &Calendar,
) -> Result<CorporateActions, FactorFileError> {
    let rows: Vec<FactorRow> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| factor_row(index + 1, line))
        .collect::<Result<_, _>>()?;
    let mut actions = Vec::new();
    for pair in rows.windows(2) {
        let (row, next) = (&pair[0], &pair[1]);
        let day = effective_day(row.last_day, calendar);
        let drop = 1.0 - row.price_factor / next.price_factor;
        let cash = (row.close * drop * 10_000.0).round() / 10_000.0;
        if let Some(cash) = Price::from_f64(cash).filter(|cash| *cash > Price::ZERO) {
            let action = if drop > SPECIAL_SHARE {
                CorporateAction::Distribution(cash)
            } else {
                CorporateAction::Dividend(cash)
            };
            actions.push((day, action));
        }
        if let Some(ratio) = split_ratio(next.split_factor / row.split_factor) {
            actions.push((day, CorporateAction::Split(ratio)));
        }
    }
    Ok(CorporateActions(actions))
}

fn factor_row(line: usize, text: &str) -> Result<FactorRow, FactorFileError> {
    let mut fields = text.trim().split(',');
    let mut next = |field, expected| {
        let text = fields.next().unwrap_or("");
        let fail = move || FactorFileError { line, field, text: text.to_owned(), expected };
        (text, fail)
    };
    let (text, fail) = next("date", "a day");
    let last_day = Date::parse(text).map_err(|_| fail())?;
    let mut positive = |field| {
        let (text, fail) = next(field, "a positive number");
        let value: Option<f64> = text.parse().ok();
        value.filter(|value| value.is_finite() && *value > 0.0).ok_or_else(fail)
    };
    let (price_factor, split_factor) = (positive("price factor")?, positive("split factor")?);
    let (text, fail) = next("close", "a number");
    // The last row, valid for ever, states close 0.
    let close: f64 = text.parse().map_err(|_| fail())?;
    if !close.is_finite() || close < 0.0 {
        return Err(fail());
    }
    Ok(FactorRow { last_day, price_factor, split_factor, close })
}

fn effective_day(last_day: Date, calendar: &Calendar) -> Date {
    let next_weekday = || {
        let tomorrow = last_day.plus_days(1);
        let skip = (0..3).find(|days| !tomorrow.plus_days(*days).is_weekend());
        tomorrow.plus_days(skip.unwrap_or(0))
    };
    if calendar.covers(last_day) {
        calendar.next_trading_day(last_day).unwrap_or_else(next_weekday)
    } else {
        next_weekday()
    }
}

/// The ratio of small numbers that seven-digit factors stand for; `None` for no split.
fn split_ratio(ratio: f64) -> Option<SplitRatio> {
    // Factors are rounded (3.0003 for three): a fifth of a thousandth apart is the same ratio.
    let near = |candidate: f64| (candidate / ratio - 1.0).abs() < 2e-4;
    if !(1e-4..=1e4).contains(&ratio) || near(1.0) {
        return None;
    }
    let small = (1_u32..=20).find_map(|old| {
        let new = (ratio * f64::from(old)).round();
        (new >= 1.0 && near(new / f64::from(old))).then_some(SplitRatio { new: new as u32, old })
    });
    Some(small.unwrap_or(SplitRatio { new: (ratio * 10_000.0).round() as u32, old: 10_000 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    fn price(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    #[test]
    fn a_factor_file_gives_dividends_spin_offs_and_splits() {
        let text = "20090326,0.5431050,3.0003,8.84\n20140225,0.8837861,1,64.78\n\
                    20140520,0.8881390,1,69.21\n20140606,0.8922321,1,71.08\n\
                    20501231,0.9307288,1,0";
        let actions = read_factor_file(text, &Calendar::us_equities()).unwrap();
        assert_eq!(
            actions.0[1..],
            [
                (day("2009-03-27"), CorporateAction::Split(SplitRatio { new: 1, old: 3 })),
                (day("2014-02-26"), CorporateAction::Dividend(price("0.3175"))),
                (day("2014-05-21"), CorporateAction::Dividend(price("0.3175"))),
                (day("2014-06-09"), CorporateAction::Distribution(price("2.94"))),
            ]
        );
        let schedule = actions.dividends();
        assert_eq!(schedule.len(), 2);
        assert_eq!(schedule.on(day("2014-05-21")), price("0.3175"));
        let seen: Vec<_> = schedule.between(day("2014-02-26"), day("2014-05-21")).collect();
        assert_eq!(seen, [(day("2014-05-21"), price("0.3175"))]);
        assert_eq!(schedule.between(day("2014-05-21"), day("2014-01-01")).count(), 0);
    }

    #[test]
    fn splits_are_ratios_of_whole_shares() {
        assert_eq!(split_ratio(0.25 / 0.035_714_30), Some(SplitRatio { new: 7, old: 1 }));
        assert_eq!(split_ratio(1.5), Some(SplitRatio { new: 3, old: 2 }));
        let odd = split_ratio(1.0 / 0.997_307);
        assert_eq!(odd, Some(SplitRatio { new: 10_027, old: 10_000 }));
        assert_eq!(split_ratio(1.000_01), None);
    }

    #[test]
    fn a_broken_factor_file_names_line_and_field() {
        let calendar = Calendar::us_equities();
        for (text, line, field) in [
            ("20140225,1,1,5\nx,1,1,5", 2, "date"),
            ("20140225,0,1,5", 1, "price factor"),
            ("20140225,1,nan,5", 1, "split factor"),
            ("20140225,1,1", 1, "close"),
        ] {
            let error = read_factor_file(text, &calendar).unwrap_err();
            assert_eq!((error.line, error.field), (line, field), "{error}");
        }
    }
}
