//! Sockets that listen.
//!
//! Invariant: of a host's addresses the first that can be had is taken; why none can is said of the last.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::time::timeout;

use super::AppError;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// How long looking a name up may take.
const RESOLVE: Duration = Duration::from_secs(10);

/// Listens on `host`, which `setting` names.
pub(super) async fn bind(
    host: &str,
    port: u16,
    setting: &'static str,
) -> Result<TcpListener, AppError> {
    let failed = |source| AppError::Bind {
        address: format!("{host}:{port}"),
        setting,
        source,
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    let addresses = timeout(RESOLVE, lookup_host((host, port))).await;
    let late = |_| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            "the name server did not answer within 10 s",
        )
    };
    for address in addresses
        .map_err(late)
        .and_then(|found| found)
        .map_err(failed)?
    {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restarted server must not wait for its predecessor's closed connections to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Where it listens.
pub(super) fn local(listener: &TcpListener) -> SocketAddr {
    listener
        .local_addr()
        .unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
}
