//! The dashboard, the server or the client of chapter 3: see `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dashboard::main(&ch03_hyper::launcher::CHAPTER)
}
