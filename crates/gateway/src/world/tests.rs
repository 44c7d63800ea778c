//! The machine, one sentence a test.
