//! What a lifecycle event changes, and how the strategies share in it.

use super::holding::{Change, Holding};
use super::{Ledger, Shares};
use crate::id::StrategyId;
use crate::lifecycle::LifecycleKind;
use market::instrument::ConId;
use market::money::{Money, Quantity};
use std::collections::BTreeMap;

impl Ledger {
    /// How the strategies share in the change of position that an event makes: in proportion to
    /// what they hold on the event's side, the odd contracts to the largest remainders (then by
    /// name), delivered units with the options that deliver them.
    #[must_use]
    pub fn shares_of(&self, kind: &LifecycleKind) -> Shares {
        let mut changes = changes_of(kind).into_iter();
        let Some((con_id, first)) = changes.next() else {
            return Shares::new();
        };
        let total = first.quantity().0;
        let ended = self.apportion(con_id, total);
        let mut shares: Shares = ended
            .iter()
            .map(|(strategy, part)| (strategy.clone(), con_id, Quantity(*part)))
            .collect();
        for (delivered, change) in changes {
            for (strategy, part) in &ended {
                let units = i128::from(change.quantity().0) * i128::from(*part) / i128::from(total);
                let units = i64::try_from(units).expect("a part of an i64");
                shares.push((strategy.clone(), delivered, Quantity(units)));
            }
        }
        shares
    }

    fn apportion(&self, con_id: ConId, total: i64) -> BTreeMap<StrategyId, i64> {
        let Some(line) = self.lines.get(con_id) else {
            return BTreeMap::new();
        };
        let against = |holding: &Holding| holding.quantity.0.signum() == -total.signum();
        let holders: Vec<(&StrategyId, i64)> = line
            .strategies
            .iter()
            .filter(|(_, holding)| total != 0 && against(holding))
            .map(|(strategy, holding)| (strategy, holding.quantity.0.abs()))
            .collect();
        let held: i64 = holders.iter().map(|holder| holder.1).sum();
        if held == 0 {
            return BTreeMap::new();
        }
        // What no strategy holds (manual trades) takes its part as well.
        let whole = held.max(line.account.quantity.0.abs());
        let wanted = total.abs().min(whole);
        let scaled = |held: i64| i128::from(wanted) * i128::from(held);
        let mut parts: BTreeMap<StrategyId, i64> = BTreeMap::new();
        let mut remainders = Vec::new();
        for (strategy, quantity) in &holders {
            let exact = scaled(*quantity);
            let part = i64::try_from(exact / i128::from(whole)).expect("at most the holding");
            parts.insert((*strategy).clone(), part);
            remainders.push((exact % i128::from(whole), *strategy));
        }
        let target = i64::try_from(scaled(held) / i128::from(whole)).expect("at most the holding");
        let mut left = target - parts.values().sum::<i64>();
        remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        for (_, strategy) in remainders {
            if left > 0 {
                *parts.entry(strategy.clone()).or_default() += 1;
                left -= 1;
            }
        }
        parts.retain(|_, part| *part != 0);
        parts.values_mut().for_each(|part| *part *= total.signum());
        parts
    }
}

/// What an event changes, per instrument; the position that ends comes first.
pub(super) fn changes_of(kind: &LifecycleKind) -> Vec<(ConId, Change)> {
    let end = |quantity: Quantity, amount: Money| Change::Settle { quantity: -quantity, amount };
    match *kind {
        LifecycleKind::Expired { con_id, quantity } => vec![(con_id, end(quantity, Money::ZERO))],
        LifecycleKind::Exercised { con_id, quantity, delivery }
        | LifecycleKind::Assigned { con_id, quantity, delivery } => {
            let mut changes = vec![(con_id, end(quantity, Money::ZERO))];
            if let Some(delivery) = delivery {
                let trade = Change::Trade { quantity: delivery.quantity, price: delivery.price };
                changes.push((delivery.con_id, trade));
            }
            changes
        }
        LifecycleKind::CashSettled { con_id, quantity, amount } => {
            vec![(con_id, end(quantity, amount))]
        }
        LifecycleKind::Dividend { con_id, amount } => vec![(con_id, Change::Income { amount })],
        LifecycleKind::Variation { con_id, mark, amount } => {
            let amount = Some(amount);
            vec![(con_id, Change::Carry { mark, amount })]
        }
        LifecycleKind::DeliverableChanged { con_id, before, after } => {
            let quantity = after - before;
            vec![(con_id, Change::Restate { quantity })]
        }
        LifecycleKind::Cash { .. } => Vec::new(),
    }
}
