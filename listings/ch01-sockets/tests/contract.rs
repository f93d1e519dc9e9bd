//! The contract of every server and client, kept by this chapter's.

use contract::{Broken, Program, clients, servers};

fn program(role: &str) -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch01-sockets")).arg(role)
}

#[test]
fn the_server_keeps_the_contract() -> Result<(), Broken> {
    servers::check_program(&program("server"), |_| true).hold(&[])
}

#[test]
fn the_client_keeps_the_contract() -> Result<(), Broken> {
    clients::check(&program("client"), |_| true).hold(&[])
}
