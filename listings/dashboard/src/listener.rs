//! The listener that a server is given.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::addr::Addr;

/// Connections that wait to be accepted. Past that the kernel drops what
/// comes, and whoever sent it tries again after 1, 3 and 7 s. std asks for
/// 128; a server that comes back has all its readers at its door at once.
/// Linux gives no more than `net.core.somaxconn`, which is 4,096, too.
const BACKLOG: i32 = 4096;

/// Listens on the first of these addresses that this machine has. `own` is
/// where a port alone is.
///
/// # Errors
/// What is wrong and what to do, in one line.
pub(crate) fn listen(addr: &Addr, own: IpAddr) -> Result<TcpListener, String> {
    let found = addr.resolve(own).map_err(|error| {
        format!(
            "cannot listen on {addr}: no address has that name ({error}); \
             127.0.0.1 is this machine alone, 0.0.0.0 is every interface of it"
        )
    })?;
    let mut lacking = format!("cannot listen on {addr}: it has no address");
    for addr in found {
        match bind(addr) {
            Ok(listener) => return Ok(listener),
            // `localhost` may stand for an address of a kind that this
            // machine lacks. One that is in use is no reason to go on: who
            // asks for that name would reach the program that has it.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                lacking = cannot(addr, &error);
            }
            Err(error) => return Err(cannot(addr, &error)),
        }
    }
    Err(lacking)
}

/// As std does, but for the backlog, and for `[::]`, which is IPv4 as well on
/// every system that can.
fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(addr);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))
        .map_err(|error| {
            // A kernel without IPv6 has no such sockets.
            io::Error::new(ErrorKind::AddrNotAvailable, error)
        })?;
    // Elsewhere it would let two programs have one port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() && addr.ip().is_unspecified() {
        // A system that cannot do both does the one that was asked for.
        let _: io::Result<()> = socket.set_only_v6(false);
    }
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn cannot(addr: SocketAddr, error: &io::Error) -> String {
    let ip = match addr {
        SocketAddr::V4(addr) => addr.ip().to_string(),
        SocketAddr::V6(addr) => format!("[{}]", addr.ip()),
    };
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "cannot listen on {addr}: the port is in use; stop the program \
             that has it, or choose a free port with --addr {ip}:0"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "cannot listen on {addr}: this machine has no such address; \
             127.0.0.1 is this machine alone, 0.0.0.0 is every interface of it"
        ),
        ErrorKind::PermissionDenied => format!(
            "cannot listen on {addr}: permission denied; many systems keep \
             ports below 1024 for privileged programs: choose another, or a \
             free one with --addr {ip}:0"
        ),
        _ => format!("cannot listen on {addr}: {error}"),
    }
}
