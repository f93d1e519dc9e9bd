//! The dashboard, the server or the client of chapter 4: see `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dashboard::main(&ch04_axum::launcher::CHAPTER)
}
