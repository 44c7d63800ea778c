//! How far an intent has come on its way out, announced to the chaos gate.
//!
//! Keys are announced as hashes: the gate compares them and needs no names.

use crate::runtime::protocol::ProtocolStep;
use crate::runtime::role::{Context, RoleError, RoleMessage};
use trading::id::IntentKey;

/// A key's hash: FNV-1a over its text (Fowler, Noll and Vo), the same on every CPU.
#[must_use]
pub fn key_hash(key: &IntentKey) -> u64 {
    let bytes = key.to_string().into_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Announces that an intent has reached a step.
///
/// # Errors
/// [`RoleError::Killed`] when chaos strikes here; hand it up.
pub fn announce<M: RoleMessage>(
    cx: &Context<M>,
    step: ProtocolStep,
    key: &IntentKey,
) -> Result<(), RoleError> {
    if cx.faults().is_watched() { cx.faults().step(step, key_hash(key)) } else { Ok(()) }
}
