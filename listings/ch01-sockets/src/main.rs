//! The dashboard, the server or the client of chapter 1: see `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dashboard::main(&ch01_sockets::launcher::CHAPTER)
}
