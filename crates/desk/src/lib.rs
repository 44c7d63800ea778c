//! The order desk: the durable machine between intents and the broker. It nets intents, asks the
//! gate, reserves exposure, follows every order through every state, resolves what is Unknown, and
//! is a fold of its records, bit for bit. It owns `Record`, `fold` and `state_hash`; it writes no
//! files, opens no sockets and sets no limits.

pub mod record;
