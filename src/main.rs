//! The binary `optionsib`: one call, everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::dispatch::main()
}
