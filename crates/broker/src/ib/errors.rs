//! What the broker's codes mean to us: one table, shown in docs/ib-setup.md.
//!
//! A code that isn't in it is never guessed at: about an order it asks for a reconciliation, about
//! anything else it is logged.

/// What a code asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The broker has lost its own connection: no new orders.
    BrokerLost,
    /// It is back; what happened meanwhile must be asked.
    BrokerBack,
    /// It is back without our lines: subscribe again, and ask.
    BrokerBackWithoutLines,
    /// Market data stands still.
    DataLost,
    /// Market data is back: subscribe again.
    DataBack,
    /// The order was not accepted, or a modify of it was not.
    Rejected,
    /// The order can't be modified as asked: ask how it stands.
    ModifyRejected,
    /// A cancel came too late or found nothing: ask how the order stands.
    CancelRejected,
    /// Its status says the same.
    Told,
    /// This line, or this question, is not served.
    RequestRefused,
    /// Only delayed data: the line must not be traded on.
    Delayed,
    /// We are too fast.
    Paced,
    /// The connection can't be had: try again slowly.
    ConnectionRefused,
    /// Something was missed: ask everything.
    Gap,
    /// For the log.
    Note,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeRow {
    /// The broker's code; below 0 they are the client library's own.
    pub code: i32,
    /// What it says.
    pub meaning: &'static str,
    /// What follows.
    pub action: Action,
}

const fn row(code: i32, action: Action, meaning: &'static str) -> CodeRow {
    CodeRow { code, meaning, action }
}

/// The table, by rising code.
pub const CODES: &[CodeRow] = &[
    row(-8, Action::Gap, "the library has reconnected by itself"),
    row(-7, Action::Gap, "notices were dropped by the library"),
    row(-6, Action::Gap, "messages were dropped by the library"),
    row(-5, Action::Gap, "a message of an unknown kind: the stream may be out of step"),
    row(100, Action::Paced, "more than 50 messages a second"),
    row(101, Action::RequestRefused, "all lines of market data are in use"),
    row(103, Action::Rejected, "the order's number was used before"),
    row(104, Action::ModifyRejected, "a filled order can't be modified"),
    row(105, Action::ModifyRejected, "the modified order differs from the first in kind"),
    row(110, Action::Rejected, "the price is off its increment"),
    row(161, Action::CancelRejected, "the order is in no state to be cancelled"),
    row(162, Action::RequestRefused, "the past can't be told, or is asked too often"),
    row(200, Action::Rejected, "no such contract, or several"),
    row(201, Action::Rejected, "the order is rejected; the text says why"),
    row(202, Action::Told, "the order is cancelled"),
    row(203, Action::Rejected, "this account may not trade the contract"),
    row(300, Action::RequestRefused, "no such ticker id"),
    row(321, Action::Rejected, "the request is not valid"),
    row(322, Action::Rejected, "the request can't be processed"),
    row(326, Action::ConnectionRefused, "the client id is in use"),
    row(354, Action::RequestRefused, "market data is not subscribed"),
    row(366, Action::RequestRefused, "no such request for the past"),
    row(387, Action::Rejected, "the order's kind is not supported here"),
    row(399, Action::Note, "a remark about the order, which is accepted"),
    row(404, Action::Note, "the order is held until shares are located"),
    row(434, Action::Rejected, "the order's size is zero"),
    row(463, Action::Rejected, "a cap price is missing or wrong"),
    row(502, Action::ConnectionRefused, "no connection to the gateway"),
    row(504, Action::ConnectionRefused, "not connected"),
    row(507, Action::ConnectionRefused, "a message was broken, or the client id is in use"),
    row(1100, Action::BrokerLost, "the gateway has lost the broker"),
    row(1101, Action::BrokerBackWithoutLines, "the broker is back, lines are lost"),
    row(1102, Action::BrokerBack, "the broker is back, lines are kept"),
    row(1300, Action::ConnectionRefused, "the gateway's port is being changed"),
    row(2103, Action::DataLost, "a market data farm is broken"),
    row(2104, Action::DataBack, "a market data farm is well"),
    row(2105, Action::Note, "a farm of the past is broken"),
    row(2106, Action::Note, "a farm of the past is well"),
    row(2107, Action::Note, "a farm of the past is idle"),
    row(2108, Action::Note, "a market data farm is idle"),
    row(2109, Action::Note, "an attribute of the order is ignored"),
    row(2110, Action::BrokerLost, "the gateway has lost the broker's server"),
    row(2119, Action::Note, "a market data farm is being connected"),
    row(2137, Action::Note, "the order crosses a position"),
    row(2157, Action::Note, "the farm of contract terms is broken"),
    row(2158, Action::Note, "the farm of contract terms is well"),
    row(10089, Action::Delayed, "more subscriptions are needed for live data"),
    row(10147, Action::CancelRejected, "the order to cancel is not found"),
    row(10148, Action::CancelRejected, "the order can't be cancelled any more"),
    row(10167, Action::Delayed, "delayed data is shown instead"),
    row(10168, Action::RequestRefused, "neither live nor delayed data"),
    row(10197, Action::DataLost, "another session has the live data"),
];

/// The row of a code.
#[must_use]
pub fn find(code: i32) -> Option<&'static CodeRow> {
    let at = CODES.binary_search_by_key(&code, |row| row.code).ok()?;
    CODES.get(at)
}

/// What a code about an order asks for; what isn't known asks for everything.
#[must_use]
pub fn about_an_order(code: i32) -> Action {
    match find(code).map_or(Action::Gap, |row| row.action) {
        Action::CancelRejected if mutation::active("late_cancel_ends_order") => Action::Rejected,
        action => action,
    }
}

/// What a code about nothing in particular asks for.
#[must_use]
pub fn about_the_session(code: i32) -> Action {
    find(code).map_or(Action::Note, |row| row.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_rises_and_every_row_is_found() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
        for row in CODES {
            assert_eq!(find(row.code), Some(row));
            assert!(!row.meaning.is_empty());
        }
    }

    #[test]
    fn an_unknown_code_is_never_guessed_at() {
        assert_eq!(about_an_order(99_999), Action::Gap);
        assert_eq!(about_the_session(99_999), Action::Note);
    }

    #[test]
    fn the_codes_that_move_money_are_told_apart() {
        for (codes, action) in [
            (&[103, 110, 200, 201, 203, 321, 387][..], Action::Rejected),
            (&[161, 10147, 10148], Action::CancelRejected),
            (&[104, 105], Action::ModifyRejected),
            (&[202], Action::Told),
            (&[399, 404, 2109], Action::Note),
            (&[1100, 2110], Action::BrokerLost),
            (&[2103, 10197], Action::DataLost),
            (&[-6, -7, -8], Action::Gap),
        ] {
            for code in codes {
                assert_eq!(about_an_order(*code), action, "{code}");
            }
        }
    }

    #[test]
    fn the_page_shows_this_table() {
        let page = include_str!("../../../../docs/ib-setup.md");
        for row in CODES {
            let shown = format!("| {} | {} | {:?} |", row.code, row.meaning, row.action);
            assert!(page.contains(&shown), "docs/ib-setup.md lacks `{shown}`");
        }
    }
}
