//! Requests written as clients write them, read back.
