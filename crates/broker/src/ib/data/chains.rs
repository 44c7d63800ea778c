//! What is asked about contracts on the data connection: the terms of a product, what a stock pays.
//!
//! Each question has a deadline and waits for its turn among the data messages.

use super::super::contracts;
use super::super::futures;
use super::super::orders::Gateway;
use super::super::pacing::Lane;
use super::super::translate;
use ::futures::StreamExt;
use ibapi::Client;
use ibapi::contracts::tick_types::TickType;
use ibapi::contracts::{
    Contract as WireContract, ContractDetails, Exchange, OptionChain, SecurityType, Symbol,
};
use ibapi::market_data::realtime::TickTypes;
use ibapi::subscriptions::SubscriptionItem;
use market::instrument::{ConId, Contract, TickRule};
use market::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::timeout;

/// Futures of a product whose options are asked for: CME lists options on the next few quarters.
const FUTURES_MAX: usize = 5;
/// Questions about one chain at most.
const EXPIRIES_MAX: usize = 150;

/// A product as it was told: details, and the price increments by their rule's number.
pub type Product = (Vec<ContractDetails>, BTreeMap<i32, TickRule>);
/// An answer, or why there is none, in words.
pub type Told<T> = Result<T, String>;

/// Why a product wasn't told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untold {
    /// The broker lists no such thing.
    NotListed,
    /// It was not told this time, in words.
    Failed(String),
}

impl From<String> for Untold {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// The dividends of a stock: generic tick 456, which comes as tick 59.
pub async fn dividends(client: &Client, gateway: &Gateway, con_id: ConId) -> Told<String> {
    let contract = translate::wire_contract(&Contract::Single(con_id), &gateway.contracts);
    let contract = contract.map_err(|error| error.to_string())?;
    gateway.pace.wait(Lane::Data).await;
    let asked = client.market_data(&contract).generic_ticks(&["456"]).subscribe().await;
    let mut ticks = asked.map_err(|error| error.to_string())?;
    while let Some(item) = ticks.next().await {
        match item.map_err(|error| error.to_string())? {
            SubscriptionItem::Data(TickTypes::String(tick))
                if tick.tick_type == TickType::IbDividends =>
            {
                return Ok(tick.value);
            }
            SubscriptionItem::Data(_) => {}
            SubscriptionItem::Notice(notice) => return Err(notice.to_string()),
        }
    }
    Err("the line ended".to_owned())
}

/// A product's details, and the rules that they name.
pub async fn product(client: &Client, gateway: &Gateway, symbol: &str) -> Result<Product, Untold> {
    let details = chain(client, gateway, symbol).await?;
    let wanted: BTreeSet<i32> = details.iter().filter_map(contracts::rule_of).collect();
    let mut rules = BTreeMap::new();
    for number in wanted {
        gateway.pace.wait(Lane::Data).await;
        match timeout(gateway.settings.answer_deadline, client.market_rule(number)).await {
            Ok(Ok(rule)) => {
                rules.extend(contracts::tick_rule(&rule).map(|rule| (number, rule)));
            }
            // The smallest increment of the details holds without it; some orders are refused.
            Ok(Err(error)) => tracing::warn!("market rule {number}: {error}"),
            Err(_) => tracing::warn!("market rule {number} was not told in time"),
        }
    }
    Ok((details, rules))
}

/// Questions about contracts, each with its turn and its deadline.
struct Asking<'a> {
    client: &'a Client,
    gateway: &'a Gateway,
    within: Duration,
}

impl Asking<'_> {
    /// The details that fit; empty where IB says that none do.
    async fn details(&self, wanted: &WireContract) -> Result<Vec<ContractDetails>, Untold> {
        self.gateway.pace.wait(Lane::Data).await;
        match timeout(self.within, self.client.contract_details(wanted)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(ibapi::Error::Notice(notice))) if notice.code == 200 => Ok(Vec::new()),
            Ok(Err(error)) => Err(error.to_string().into()),
            Err(_) => Err(late("contract details")),
        }
    }

    /// The expiries on an underlying, each with its class. `exchange` is named for options on
    /// futures only: for others a name empties the answer.
    async fn expiries(
        &self,
        underlying: &WireContract,
        exchange: Option<&str>,
    ) -> Result<BTreeSet<(String, String)>, Untold> {
        let words = |error: ibapi::Error| Untold::Failed(error.to_string());
        self.gateway.pace.wait(Lane::Data).await;
        let kind = underlying.security_type.clone();
        let symbol = &underlying.symbol.0;
        let mut asked = self.client.option_chain(symbol, kind, underlying.contract_id);
        if let Some(exchange) = exchange {
            asked = asked.exchange(exchange);
        }
        let mut chains = match timeout(self.within, asked.subscribe()).await {
            Ok(chains) => chains.map_err(words)?,
            Err(_) => return Err(late("the option chain")),
        };
        let chains = chains.collect_to_end_within(self.within).await.map_err(words)?;
        let named = |chain: &OptionChain| {
            let class = chain.trading_class.clone();
            let expiries = chain.expirations.clone().into_iter();
            expiries.map(move |expiry| (expiry, class.clone())).collect::<Vec<_>>()
        };
        Ok(chains.iter().flat_map(named).collect())
    }
}

fn late(what: &str) -> Untold {
    Untold::Failed(format!("{what} came not in time"))
}

/// The root and every option on it, of a future its front months and every option on those. The
/// chain's parameters come first, which aren't throttled, then one question an expiry, the nearest
/// first, so that no answer is huge.
async fn chain(
    client: &Client,
    gateway: &Gateway,
    symbol: &str,
) -> Result<Vec<ContractDetails>, Untold> {
    let within = match gateway.settings.answer_deadline {
        _ if mutation::active("skip_details_deadline") => Duration::MAX,
        deadline => deadline,
    };
    let asking = Asking { client, gateway, within };
    let of = |security_type, exchange: &str| WireContract {
        symbol: Symbol(symbol.to_owned()),
        security_type,
        exchange: Exchange(exchange.to_owned()),
        ..WireContract::default()
    };
    let root = futures::root(symbol);
    let mut all = Vec::new();
    let (option, exchange) = if let Some(root) = root {
        let found = asking.details(&of(SecurityType::Future, root.exchange)).await?;
        all = front_months(found, (gateway.settings.now)());
        (SecurityType::FuturesOption, Some(root.exchange))
    } else {
        for security_type in [SecurityType::Stock, SecurityType::Index] {
            all.extend(asking.details(&of(security_type, "")).await?);
        }
        (SecurityType::Option, None)
    };
    if all.is_empty() {
        return Err(Untold::NotListed);
    }
    // Of several stocks of one name the first is meant; of futures each has options of its own.
    let underlyings = if root.is_some() { all.len() } else { 1 };
    let mut wanted = BTreeSet::new();
    for underlying in &all[..underlyings] {
        wanted.extend(asking.expiries(&underlying.contract, exchange).await?);
    }
    if wanted.len() > EXPIRIES_MAX {
        tracing::warn!("{symbol} has {} expiries, only the nearest are asked", wanted.len());
    }
    for (expiry, trading_class) in wanted.into_iter().take(EXPIRIES_MAX) {
        let options = WireContract {
            trading_class,
            last_trade_date_or_contract_month: expiry,
            ..of(option.clone(), exchange.unwrap_or_default())
        };
        all.extend(asking.details(&options).await?);
    }
    Ok(all)
}

/// The futures that still trade, the nearest first, a bounded number.
fn front_months(found: Vec<ContractDetails>, now: Timestamp) -> Vec<ContractDetails> {
    let ends = |one: ContractDetails| Some((contracts::last_trade(&one)?, one));
    let mut trading: Vec<_> =
        found.into_iter().filter_map(ends).filter(|(end, _)| *end > now).collect();
    trading.sort_by_key(|(end, one)| (*end, one.contract.contract_id));
    trading.into_iter().take(FUTURES_MAX).map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_months_are_the_nearest_that_still_trade() {
        let future = |contract_id, last: &str| ContractDetails {
            contract: WireContract {
                contract_id,
                security_type: SecurityType::Future,
                last_trade_date_or_contract_month: last.to_owned(),
                ..WireContract::default()
            },
            ..ContractDetails::default()
        };
        let mut listed: Vec<_> =
            (0..8).map(|year| future(10 + year, &format!("20{}0618", 34 - year))).collect();
        // Ended an hour before, ended long ago, and no date at all.
        listed.push(future(1, "20261120 08:30:00 US/Central"));
        listed.push(future(2, "20200320"));
        listed.push(future(3, "202612"));
        listed.push(future(4, "20261218 08:30:00 US/Central"));
        let now = translate::time("20261120 15:30:00 UTC").unwrap();
        let front: Vec<i32> =
            front_months(listed, now).iter().map(|one| one.contract.contract_id).collect();
        assert_eq!(front, [4, 17, 16, 15, 14]);
    }
}
