//! The dashboard, the server or the client of chapter 2: see `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dashboard::main(&ch02_blocking::launcher::CHAPTER)
}
