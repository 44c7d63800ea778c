//! Where the gateway is, who we are there, and how long we wait.

use market::time::Timestamp;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use trading::id::AccountId;

/// Whether money is at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Simulated money: only paper accounts.
    Paper,
    /// Real money: only the account whose last four digits were typed.
    Live,
}

/// What a connection needs.
#[derive(Clone)]
pub struct IbSettings {
    /// Host and port, such as `127.0.0.1:4002`.
    pub address: String,
    /// The order client's id. 0 also hears of orders that were entered on the broker's screen.
    pub order_client: i32,
    /// The data client's id.
    pub data_client: i32,
    /// The one account that is traded.
    pub account: AccountId,
    /// What kind of account it must be.
    pub environment: Environment,
    /// A connection that isn't there by then has failed.
    pub connect_deadline: Duration,
    /// A question without a complete answer by then has none.
    pub answer_deadline: Duration,
    /// A write that hasn't ended by then leaves its order's fate unknown and ends the connection.
    pub write_deadline: Duration,
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// A heartbeat without an answer by then means a socket that is open at our end only.
    pub heartbeat_deadline: Duration,
    /// Lines of market data; the account's allowance less what a person at the screen needs.
    pub lines_max: usize,
    /// Messages that the broker takes in a second: half of the account's lines.
    pub messages_per_second: u32,
    /// Market time at this moment, for quotes: IB's ticks carry none.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl fmt::Debug for IbSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the account: logs are shared.
        f.debug_struct("IbSettings")
            .field("address", &self.address)
            .field("order_client", &self.order_client)
            .field("data_client", &self.data_client)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

impl IbSettings {
    /// A paper account behind a gateway on this machine, with the waits of its link.
    #[must_use]
    pub fn paper(
        address: &str,
        account: AccountId,
        now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        Self {
            address: address.to_owned(),
            order_client: 0,
            data_client: 1,
            account,
            environment: Environment::Paper,
            connect_deadline: Duration::from_secs(5),
            answer_deadline: Duration::from_secs(8),
            // The watchdog's grace is 5 s, and a socket on this machine takes a frame in
            // microseconds: a write that takes longer than this hangs.
            write_deadline: Duration::from_millis(200),
            heartbeat: Duration::from_secs(5),
            heartbeat_deadline: Duration::from_secs(5),
            // IB's smallest allowance is 100, shared with whoever sits at the screen.
            lines_max: 90,
            messages_per_second: 50,
            now,
        }
    }
}

/// An account that must not be traded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The login doesn't have it.
    #[error(
        "the login has no account ending in {ending}, only {had} other; correct `account.id` or \
         log in as its owner"
    )]
    NotThere {
        /// Its last four characters.
        ending: String,
        /// How many others there are.
        had: usize,
    },
    /// A real account where only simulated money may be traded.
    #[error(
        "the account ending in {ending} is no paper account (those begin with D); `paper` trades \
         only those"
    )]
    NotPaper {
        /// Its last four characters.
        ending: String,
    },
    /// A paper account where real money was asked for.
    #[error("the account ending in {ending} is a paper account; `live` is for real ones")]
    NotLive {
        /// Its last four characters.
        ending: String,
    },
}

/// Whether `account` may be traded through a login that has `managed`.
///
/// # Errors
/// [`AccountError`].
pub fn check_account(
    account: &AccountId,
    environment: Environment,
    managed: &[String],
) -> Result<(), AccountError> {
    if mutation::active("skip_account_check") {
        return Ok(());
    }
    let name = account.0.as_str();
    let ending: String = name.chars().skip(name.chars().count().saturating_sub(4)).collect();
    match environment {
        Environment::Paper if !account.is_paper() => return Err(AccountError::NotPaper { ending }),
        Environment::Live if account.is_paper() => return Err(AccountError::NotLive { ending }),
        Environment::Paper | Environment::Live => {}
    }
    if managed.iter().any(|each| each == name) {
        Ok(())
    } else {
        Err(AccountError::NotThere { ending, had: managed.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paper_trades_paper_accounts_only_and_live_real_ones_only() {
        let check = |name: &str, environment, managed: &[&str]| {
            let managed: Vec<String> = managed.iter().map(|one| (*one).to_owned()).collect();
            check_account(&AccountId(name.to_owned()), environment, &managed)
        };
        let ending = || "4567".to_owned();
        assert_eq!(check("DU1234567", Environment::Paper, &["DU1234567"]), Ok(()));
        assert_eq!(check("U1234567", Environment::Live, &["DU1", "U1234567"]), Ok(()));
        assert_eq!(
            check("U1234567", Environment::Paper, &["U1234567"]),
            Err(AccountError::NotPaper { ending: ending() })
        );
        assert_eq!(
            check("DU1234567", Environment::Live, &["DU1234567"]),
            Err(AccountError::NotLive { ending: ending() })
        );
        assert_eq!(
            check("DU1234567", Environment::Paper, &["DU7654321"]),
            Err(AccountError::NotThere { ending: ending(), had: 1 })
        );
    }
}
