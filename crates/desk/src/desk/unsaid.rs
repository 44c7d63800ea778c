//! What a complete reconciliation leaves to explain: events that a broker doesn't report are booked
//! if one story fits (`unexplained`), dividends if they are what the cash has more, and other cash
//! under its own name once it has stood still.

use super::{Context, Desk};
use crate::reconcile::RoundResult;
use crate::record::Record;
use crate::unexplained::{self, Break, CASH_TOLERANCE};
use market::instrument::ConId;
use market::money::{Currency, Money, Quantity};
use market::quote::Side;
use market::time::{Now, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use trading::lifecycle::{LifecycleEvent, LifecycleId, LifecycleKind};
use trading::report::Report;

/// Dividends that went ex earlier have been paid or aged into a cash event.
const DIVIDENDS_TOLD: Duration = Duration::from_secs(7 * 86_400);

/// A position that a trade moved.
pub(super) struct Moved {
    con_id: ConId,
    quantity: i64,
    time: Timestamp,
}

pub(super) fn moved(report: &Report) -> Option<Moved> {
    let Report::Execution(fill) = report else { return None };
    let quantity = match fill.side {
        Side::Buy => fill.quantity.0,
        Side::Sell => -fill.quantity.0,
    };
    Some(Moved { con_id: fill.con_id, quantity, time: fill.time })
}

impl Desk {
    /// Books what the broker doesn't say: expiries, exercises, settlements, and cash that moved
    /// without a trade.
    pub(super) fn explain(
        &mut self,
        result: &RoundResult,
        told: &[Moved],
        context: &Context<'_>,
        now: Now,
    ) {
        let theirs: BTreeMap<ConId, Quantity> = result.positions.iter().copied().collect();
        let ours = self.state.ledger.positions().clone();
        if theirs != ours {
            let cash = self.cash_differences(result);
            let spot = |con_id| {
                let mut views = context.markets.values();
                views.find_map(|view| view.line(con_id)?.quote().mid())
            };
            let events = unexplained::explain(&Break {
                catalog: context.catalog,
                ours: &ours,
                theirs: &theirs,
                cash: &cash,
                spot: &spot,
                now: now.market,
            });
            for event in events {
                self.alarm(format!("the broker's positions say that {:?}", event.kind));
                self.on_lifecycle(event, context);
            }
        }
        self.book_dividends(result, told, context, now);
        self.age_cash(result, now);
    }

    /// Dividends of the last week that are not in the ledger, if together they are what the
    /// broker's cash has more: each on the shares that were held when it went ex, which is what is
    /// held now less what was traded since.
    fn book_dividends(
        &mut self,
        result: &RoundResult,
        told: &[Moved],
        context: &Context<'_>,
        now: Now,
    ) {
        let mut paid: BTreeMap<Currency, (Money, Vec<LifecycleEvent>)> = BTreeMap::new();
        let traded = told.iter().map(|moved| moved.con_id);
        let stocks: BTreeSet<ConId> =
            result.positions.iter().map(|(con_id, _)| *con_id).chain(traded).collect();
        for con_id in stocks {
            let Ok(instrument) = context.catalog.get(con_id) else { continue };
            let from = now.market.minus(DIVIDENDS_TOLD);
            for dividend in context.surroundings.dividends(con_id, from, now.market) {
                let id = LifecycleId(format!("dividend:{con_id}:{}", dividend.ex_date.compact()));
                if self.state.ledger.has_lifecycle(&id) {
                    continue;
                }
                let held = result.positions.iter().find(|(own, _)| *own == con_id);
                let held = held.map_or(0, |(_, quantity)| quantity.0);
                let since = told.iter().filter(|one| one.con_id == con_id);
                let since: i64 =
                    since.filter(|one| one.time >= dividend.ex).map(|one| one.quantity).sum();
                let shares = Quantity(held - since);
                let amount = dividend.cash.value(shares, instrument.multiplier);
                if amount.is_zero() {
                    continue;
                }
                let kind = LifecycleKind::Dividend { con_id, amount };
                let currency = instrument.currency;
                let (sum, events) = paid.entry(currency).or_default();
                *sum += amount;
                events.push(LifecycleEvent { id, kind, currency, time: dividend.ex });
            }
        }
        let differences = self.cash_differences(result);
        for (currency, (sum, events)) in paid {
            let more = differences.get(&currency).copied().unwrap_or_default();
            if (more - sum).abs() <= CASH_TOLERANCE {
                for event in events {
                    self.alarm(format!("the broker's cash says that {:?}", event.kind));
                    self.on_lifecycle(event, context);
                }
            }
        }
    }

    /// A difference of cash alone that stands still through rounds that told all fees is a cash
    /// event that no execution will explain (a dividend, interest, a subscription): it is booked
    /// under its own name, and said aloud.
    fn age_cash(&mut self, result: &RoundResult, now: Now) {
        let differences = self.cash_differences(result);
        let theirs: BTreeMap<ConId, Quantity> = result.positions.iter().copied().collect();
        let is_settled = theirs == *self.state.ledger.positions();
        self.cash_since.retain(|of, (amount, _)| differences.get(of) == Some(amount));
        for (currency, amount) in differences {
            if !is_settled || amount.abs() <= CASH_TOLERANCE {
                self.cash_since.remove(&currency);
                continue;
            }
            let (_, since) = self.cash_since.entry(currency).or_insert((amount, now.process));
            if now.process.since(*since) < self.config.cash_ages {
                continue;
            }
            self.cash_since.remove(&currency);
            self.alarm(format!("cash of {amount} {currency} came without a trade; it is booked"));
            self.record(Record::Lifecycle {
                event: LifecycleEvent {
                    id: LifecycleId(format!("cash:{currency}:{}", now.market.nanos())),
                    kind: LifecycleKind::Cash { amount },
                    currency,
                    time: now.market,
                },
                shares: Vec::new(),
                terms: Vec::new(),
            });
        }
    }

    /// The broker's cash less the ledger's.
    fn cash_differences(&self, result: &RoundResult) -> BTreeMap<Currency, Money> {
        let own = self.state.ledger.cash();
        let of = |currency| own.get(&currency).copied().unwrap_or(Money::ZERO);
        let told = result.cash.iter();
        told.map(|(currency, broker)| (*currency, *broker - of(*currency))).collect()
    }
}
