//! What IB does not tell of futures and the options on them, and which symbols are futures at all.
//!
//! Contract details name no exercise style, no settlement and no fixing, and a future's symbol may
//! be a stock's as well (ES is Eversource Energy). So a symbol means the future of this table, and
//! a trading class that isn't in it is refused: terms that move money are never guessed.
//!
//! From CME Group's contract specifications of the E-mini S&P 500. Futures (rulebook 358): in cash
//! on the special opening quotation, trading ends 9:30 New York on the third Friday. Quarterly
//! options, class ES (358A): American, into the future that expires with them, until the same
//! moment. Options of a Monday to Friday and of the month's end: European, into the future, on the
//! fixing at 16:00 New York.

use market::instrument::{ExerciseStyle, Fixing, Settlement};

/// A future with options on it.
#[derive(Debug, PartialEq, Eq)]
pub struct Root {
    /// Its symbol.
    pub symbol: &'static str,
    /// Where it and its options trade.
    pub exchange: &'static str,
    /// Units of the index per contract.
    pub multiplier: u32,
}

/// How a contract ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When it may be exercised.
    pub style: ExerciseStyle,
    /// What changes hands.
    pub settlement: Settlement,
    /// On which price.
    pub fixing: Fixing,
    /// The end of trading on its last day, in New York, where IB names no hour.
    pub hour: &'static str,
}

const ROOTS: [Root; 1] = [Root { symbol: "ES", exchange: "CME", multiplier: 50 }];

/// Classes of the options that end with their future.
const QUARTERLY: [&str; 1] = ["ES"];
/// Those that end in the afternoon, by the day of the week: A is Monday, EW1 to EW4 are Fridays, EW
/// is the month's last day.
const AFTERNOON: [&str; 25] = [
    "EW", "EW1", "EW2", "EW3", "EW4", "E1A", "E2A", "E3A", "E4A", "E5A", "E1B", "E2B", "E3B",
    "E4B", "E5B", "E1C", "E2C", "E3C", "E4C", "E5C", "E1D", "E2D", "E3D", "E4D", "E5D",
];

const MORNING_HOUR: &str = "09:30:00";
const AFTERNOON_HOUR: &str = "16:00:00";

/// The future that a symbol means, if it means one.
#[must_use]
pub fn root(symbol: &str) -> Option<&'static Root> {
    ROOTS.iter().find(|root| root.symbol == symbol)
}

/// How the futures of every root end; they are not exercised.
pub const FUTURE: Ending = Ending {
    style: ExerciseStyle::European,
    settlement: Settlement::Cash,
    fixing: Fixing::Am,
    hour: MORNING_HOUR,
};

/// How the options of a class end; none if the class isn't known.
#[must_use]
pub fn option(trading_class: &str) -> Option<Ending> {
    let settlement = Settlement::Physical;
    if QUARTERLY.contains(&trading_class) {
        let (style, fixing) = (ExerciseStyle::American, Fixing::Am);
        return Some(Ending { style, settlement, fixing, hour: MORNING_HOUR });
    }
    AFTERNOON.contains(&trading_class).then_some(Ending {
        style: ExerciseStyle::European,
        settlement,
        fixing: Fixing::Pm,
        hour: AFTERNOON_HOUR,
    })
}
