//! `status`: asks this machine's node on its ops address how it is.
//!
//! Invariant: needs nothing but that address, no key and no shell, so that a container's health check can be this.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{fail, print, runtime};
use crate::config::{Sources, ops_addr};

const EXAMPLE: &str = "\
Examples:
  foghorn status
  FOGHORN_OPS_ADDR=10.0.0.11:8084 foghorn status
  foghorn status --local

Exit code: 0 where the node is ready (--local: where it lives), 1 otherwise.";

/// A node that has not answered within this time does not count as alive.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ask the node at FOGHORN_OPS_ADDR how it is
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Ask only whether the process lives, not whether it is ready for clients
    #[arg(long)]
    local: bool,
}

/// Asks, and prints the answer.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let address = match ops_addr(sources) {
        Ok(address) => reachable(address),
        Err(error) => return fail(&error),
    };
    let path = if arguments.local { "/livez" } else { "/readyz" };
    let asked = runtime().and_then(|runtime| runtime.block_on(in_time(get(address, path))));
    match asked {
        Ok((200, body)) => {
            print(&body);
            ExitCode::SUCCESS
        }
        Ok((status, body)) => fail(&format!("{address}{path} answered {status}: {}", body.trim_end())),
        Err(error) => fail(&format!("no answer from {address}{path}: {error}")),
    }
}

/// Where a node that listens on `address` is reached from its own machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn in_time<T>(asking: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    tokio::time::timeout(PATIENCE, asking).await?
}

/// Status and body of one answer.
async fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("that is no HTTP"))?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_all_is_asked_on_loopback() {
        for (listens, asked) in
            [("0.0.0.0:8084", "127.0.0.1:8084"), ("[::]:1", "[::1]:1"), ("10.0.0.11:8084", "10.0.0.11:8084")]
        {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
