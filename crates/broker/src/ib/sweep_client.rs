//! The broker for whoever cancels own orders with the node gone: three questions and a cancel,
//! nothing of which needs the terms of an order.
//!
//! Beside the order port and not through it: a reconciliation may not rest on an answer in which
//! one order can't be said in our words, a cancel in an emergency must not wait for it. What
//! follows from the answers is decided elsewhere (`sweep`).

use super::orders::{Pace, open};
use super::pacing::Lane;
use super::settings::{IbSettings, check_account};
use super::translate;
use crate::sweep::{EndedOrder, Ending, WorkingOrder};
use futures::StreamExt;
use ibapi::orders::{OrderData, Orders};
use ibapi::subscriptions::{NoticeStream, SubscriptionItem};
use ibapi::{Client, Error};
use std::collections::BTreeMap;
use tokio::time::{Instant, timeout, timeout_at};
use trading::report::EndState;

/// What works, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The account's working orders.
    pub orders: Vec<WorkingOrder>,
    /// Why there may be more, in words.
    pub missing: Option<String>,
}

/// One connection under the order client's id.
pub struct SweepClient {
    client: Client,
    /// Kept: a gateway's notices are drained by whoever holds them.
    _notices: NoticeStream,
    settings: IbSettings,
    pace: Pace,
}

impl SweepClient {
    /// Connects, and looks whether the login has the account: under another nothing would be open.
    ///
    /// # Errors
    /// In words.
    pub async fn connect(settings: &IbSettings) -> Result<Self, String> {
        let (client, notices) = open(settings, settings.order_client).await?;
        let managed = client.handshake_managed_accounts();
        check_account(&settings.account, settings.environment, managed)
            .map_err(|error| error.to_string())?;
        let (settings, pace) = (settings.clone(), Pace::new(settings.messages_per_second));
        Ok(Self { client, _notices: notices, settings, pace })
    }

    /// Lets go of the client id, so that the next connection can have it.
    pub async fn end(self) {
        // A socket that doesn't close in time is closed with the process.
        let _ = timeout(self.settings.write_deadline, self.client.disconnect()).await;
    }

    /// Asks what works. An order that can't be read ends the answer, not the sweep: what was told
    /// before it counts.
    ///
    /// # Errors
    /// In words, when the connection is gone.
    pub async fn open_orders(&self) -> Result<Open, String> {
        self.pace.wait(Lane::Data).await;
        let deadline = Instant::now() + self.settings.answer_deadline;
        let asked = timeout_at(deadline, self.client.all_open_orders()).await;
        let mut rows = asked.map_err(|_| late())?.map_err(words)?;
        let mut orders: BTreeMap<(i32, i32), WorkingOrder> = BTreeMap::new();
        let missing = loop {
            let Ok(row) = timeout_at(deadline, rows.next()).await else { return Err(late()) };
            match row {
                // The library ends a stream without a word when its socket is gone.
                None if self.client.is_connected() => break None,
                None => return Err("the connection has ended".to_owned()),
                Some(Ok(SubscriptionItem::Data(Orders::OrderData(data)))) => {
                    if let Some(order) = self.working(&data) {
                        orders.insert((order.client, order.order_id), order);
                    }
                }
                Some(Ok(SubscriptionItem::Data(Orders::OrderStatus(_)))) => {}
                Some(Ok(SubscriptionItem::Notice(notice))) => break Some(notice.to_string()),
                Some(Err(error)) => {
                    if error.is_connection_lost() || !self.client.is_connected() {
                        return Err(words(error));
                    }
                    break Some(format!("an open order can't be read: {error}"));
                }
            }
        };
        Ok(Open { orders: orders.into_values().collect(), missing })
    }

    fn working(&self, data: &OrderData) -> Option<WorkingOrder> {
        let order = &data.order;
        let works = order.account == self.settings.account.0
            && !order.what_if
            && translate::end_state(&data.order_state.status).is_none();
        works.then(|| WorkingOrder {
            perm_id: order.perm_id,
            order_id: data.order_id,
            client: order.client_id,
            reference: order.order_ref.clone(),
        })
    }

    /// Cancels. Whether it worked is asked.
    ///
    /// # Errors
    /// In words, when it can't be written.
    pub async fn cancel(&self, order_id: i32) -> Result<(), String> {
        self.pace.wait(Lane::Cancel).await;
        let canceling = self.client.cancel_order(order_id, "");
        match timeout(self.settings.answer_deadline, canceling).await {
            Ok(Ok(_)) => Ok(()),
            // The library itself refuses the number: its order is told as one that still works.
            Ok(Err(Error::InvalidArgument(_))) => Ok(()),
            Ok(Err(error)) => Err(words(error)),
            Err(_) => Err(late()),
        }
    }

    /// Asks how orders ended; one that can't be read ends the answer.
    ///
    /// # Errors
    /// In words, when the connection is gone.
    pub async fn ended_orders(&self) -> Result<Vec<EndedOrder>, String> {
        self.pace.wait(Lane::Data).await;
        let deadline = Instant::now() + self.settings.answer_deadline;
        let asked = timeout_at(deadline, self.client.completed_orders(false)).await;
        let mut rows = asked.map_err(|_| late())?.map_err(words)?;
        let mut ended = Vec::new();
        while let Ok(Some(row)) = timeout_at(deadline, rows.next()).await {
            match row {
                Ok(SubscriptionItem::Data(Orders::OrderData(data))) => ended.extend(ending(&data)),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Ok(ended)
    }
}

fn ending(data: &OrderData) -> Option<EndedOrder> {
    let ending = match translate::end_state(&data.order_state.status)? {
        EndState::Filled => Ending::Filled,
        _ => Ending::Canceled,
    };
    let filled = data.order.filled_quantity;
    Some(EndedOrder { perm_id: data.order.perm_id, ending, filled })
}

fn late() -> String {
    "the broker did not answer in time".to_owned()
}

fn words(error: Error) -> String {
    error.to_string()
}
