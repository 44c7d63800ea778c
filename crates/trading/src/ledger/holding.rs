//! One book's holding of one instrument: average cost, realised result and cash.
//!
//! Method: average cost. The cost of the open position is kept as one amount, so nothing is lost to
//! an average price; a partial close releases its share of it, rounded toward zero to a micro-unit,
//! and a whole close releases the rest exactly. Stocks and options move their full value at the
//! trade. Futures move cash with variation events alone, as an exchange does: a trade adds its
//! value to the cost, and what a closed lot earned stays in the cost until the next variation pays
//! it. So a flat future may still have a cost, and its negative is what is owed to us.

use market::instrument::Instrument;
use market::money::{Currency, Money, Multiplier, Price, Quantity};
use serde::{Deserialize, Serialize};

/// The terms of an instrument that move money; kept with the booking so that a ledger can be folded
/// without reference data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Units of the underlying per contract.
    pub multiplier: Multiplier,
    /// What it settles in.
    pub currency: Currency,
    /// Only its variation is paid (futures), not its value.
    pub margined_daily: bool,
}

impl Terms {
    /// The terms of an instrument.
    #[must_use]
    pub const fn of(instrument: &Instrument) -> Self {
        Self {
            multiplier: instrument.multiplier,
            currency: instrument.currency,
            margined_daily: instrument.is_margined_daily(),
        }
    }
}

/// One change of a holding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Bought (positive) or sold at a price per unit.
    Trade {
        /// Signed contracts or shares.
        quantity: Quantity,
        /// Per unit.
        price: Price,
    },
    /// The position changed by `quantity` for an amount of cash: expiry, exercise, settlement.
    Settle {
        /// Signed change.
        quantity: Quantity,
        /// Received when positive.
        amount: Money,
    },
    /// A future's daily variation: carried at `mark` from here on.
    Carry {
        /// The settlement price.
        mark: Price,
        /// Received when positive; a part of an account derives its own from its own cost.
        amount: Option<Money>,
    },
    /// Cash from a position that stays as it is.
    Income {
        /// Received when positive.
        amount: Money,
    },
    /// The number held changed, its cost did not.
    Restate {
        /// Signed change.
        quantity: Quantity,
    },
}

/// What a book holds of one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holding {
    /// Signed position.
    pub quantity: Quantity,
    /// What the open position cost, signed like it; for a future, its value when last carried and
    /// what was traded since, less what that brought in.
    pub cost: Money,
    /// Result of what was closed, before fees.
    pub realised: Money,
    /// Cash that came in (negative: went out), before fees.
    pub cash: Money,
}

impl Holding {
    /// Applies one change. Without terms nothing is known of money, and only the position moves.
    pub(super) fn apply(&mut self, change: Change, terms: Option<&Terms>) {
        let Some(terms) = terms else {
            self.quantity += change.quantity();
            return;
        };
        match change {
            Change::Trade { quantity, price } => {
                let value = price.value(quantity, terms.multiplier);
                if terms.margined_daily {
                    self.cost += value;
                    self.quantity += quantity;
                } else {
                    let result = self.trade(quantity, price, terms);
                    self.realised += result;
                    self.cash -= value;
                }
            }
            Change::Settle { quantity, amount } => {
                // A future's amount is its result since it was last carried, so its cost only
                // leaves; an option's amount is what its cost is compared with.
                let result = self.trade(quantity, Price::ZERO, terms);
                self.realised += amount;
                if !terms.margined_daily {
                    self.realised += result;
                }
                self.cash += amount;
            }
            Change::Carry { mark, amount } => {
                let value = mark.value(self.quantity, terms.multiplier);
                let amount = amount.unwrap_or(value - self.cost);
                self.realised += amount;
                self.cash += amount;
                self.cost = value;
            }
            Change::Income { amount } => {
                self.realised += amount;
                self.cash += amount;
            }
            Change::Restate { quantity } => self.quantity += quantity,
        }
    }

    /// Moves position and cost, and answers the result of the part that closed.
    fn trade(&mut self, quantity: Quantity, price: Price, terms: &Terms) -> Money {
        let held = self.quantity;
        let closes = held.0.signum() * quantity.0.signum() < 0;
        let closing = if closes {
            Quantity(quantity.0.signum() * quantity.0.abs().min(held.0.abs()))
        } else {
            Quantity::ZERO
        };
        let mut result = Money::ZERO;
        if !closing.is_zero() {
            let share = i128::from(self.cost.micros()) * i128::from(closing.0.abs())
                / i128::from(held.0.abs());
            let released = Money::from_micros(
                i64::try_from(share).expect("a share of the cost is at most the cost"),
            );
            result = -price.value(closing, terms.multiplier) - released;
            self.cost -= released;
        }
        self.cost += price.value(quantity - closing, terms.multiplier);
        self.quantity += quantity;
        result
    }

    /// Result of the open position at `mark`, for a future since it was last carried.
    #[must_use]
    pub fn unrealised(&self, mark: Price, terms: &Terms) -> Money {
        mark.value(self.quantity, terms.multiplier) - self.cost
    }

    /// Cost per unit, rounded toward zero; `None` when flat.
    #[must_use]
    pub fn average_price(&self, terms: &Terms) -> Option<Price> {
        let units = self.quantity.0.checked_mul(i64::from(terms.multiplier.0))?;
        (units != 0).then(|| Price::from_micros(self.cost.micros() / units))
    }
}

impl Change {
    /// The signed change of position.
    #[must_use]
    pub const fn quantity(self) -> Quantity {
        match self {
            Self::Trade { quantity, .. }
            | Self::Settle { quantity, .. }
            | Self::Restate { quantity } => quantity,
            Self::Carry { .. } | Self::Income { .. } => Quantity::ZERO,
        }
    }
}
