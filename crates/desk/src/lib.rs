//! The order desk: the durable machine between intents and the broker. It nets intents, asks the
//! gate, reserves exposure, follows every order through every state, resolves what is Unknown, and
//! is a fold of its records, bit for bit. Beside it the kill switch keeps the latches. It owns
//! `Record`, `fold` and `state_hash`; it writes no files, opens no sockets and sets no limits.
//!
//! Reading order: [`order_state`] (the table), [`record`], [`state`] (what a record does), [`desk`]
//! (what an event does), [`reconcile`] (asking the broker), [`kill_switch`] (halts and latches),
//! [`fold`] (the whole node), [`view`].

pub mod cells;
pub mod desk;
pub mod fold;
pub mod kill_switch;
pub mod order_state;
pub mod proof;
pub mod reconcile;
pub mod record;
pub mod state;
pub mod unexplained;
pub mod view;
