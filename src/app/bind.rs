//! Sockets that listen.
//!
//! Invariant: of a host's addresses the first that can be had is taken; why none can is said of the last. `::` is all addresses,
//! IPv4's too, whatever the machine's defaults are.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;
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
            // All addresses of a machine without IPv6 are IPv4's.
            Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && has_no_ipv6(&error) => {
                let all = IpAddr::from(Ipv4Addr::UNSPECIFIED);
                return listen(SocketAddr::new(all, port)).map_err(failed);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn has_no_ipv6(error: &io::Error) -> bool {
    let why = Errno::from_io_error(error);
    matches!(why, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn all_addresses_are_those_of_ipv4_too() {
        let listener = bind("::", 0, "HOST").await.expect("a port");
        let port = local(&listener).port();
        let by_ipv4 = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        by_ipv4.expect("a connection");
        let (_, from) = listener.accept().await.expect("it is let in");
        assert_eq!(from.ip().to_canonical(), Ipv4Addr::LOCALHOST);
        if local(&listener).is_ipv6() {
            let by_ipv6 = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await;
            assert!(by_ipv6.is_ok() || by_ipv6.is_err_and(|error| has_no_ipv6(&error)));
        }
    }

    #[test]
    fn a_port_that_is_taken_is_no_lack_of_ipv6() {
        for (errno, lacks) in [
            (Errno::AFNOSUPPORT, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::ADDRINUSE, false),
            (Errno::ACCESS, false),
        ] {
            assert_eq!(has_no_ipv6(&errno.into()), lacks);
        }
    }
}
