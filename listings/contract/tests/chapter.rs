//! What a chapter writes to keep the contract, here for the peer.
#![allow(missing_docs)]

// ANCHOR: chapter
use contract::{Broken, Program, clients, servers};

fn program(role: &str) -> Program {
    Program::new(env!("CARGO_BIN_EXE_contract-peer")).arg(role)
}

#[test]
fn the_server_keeps_the_contract() -> Result<(), Broken> {
    // Here would stand the checks that do not apply, each with its reason.
    let exempt = &[];
    servers::check_program(&program("server"), |_| true).hold(exempt)
}

#[test]
fn the_client_keeps_the_contract() -> Result<(), Broken> {
    clients::check(&program("client"), |_| true).hold(&[])
}
// ANCHOR_END: chapter
