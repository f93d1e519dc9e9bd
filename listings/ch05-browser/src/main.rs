//! The dashboard, the server or a client of chapter 5: see `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dashboard::main(&ch05_browser::launcher::CHAPTER)
}
