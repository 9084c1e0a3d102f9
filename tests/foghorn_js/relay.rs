//! What lies between a browser and a node: it can be cut, go silent, lead elsewhere, or be a proxy whose node is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Those there are end, and new ones at once.
    Cut,
    /// New ones are answered 502.
    BadGateway,
}

/// A way to a port that can be changed.
pub struct Relay {
    pub port: u16,
    to: Arc<AtomicU16>,
    way: watch::Sender<Way>,
    /// How often those that there were went silent.
    silence: watch::Sender<u32>,
}

impl Relay {
    /// One to `port`.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (to, way, silence) = (
            Arc::new(AtomicU16::new(port)),
            watch::Sender::new(Way::Open),
            watch::Sender::new(0),
        );
        let relay = Self {
            port: listener.local_addr().expect("an address").port(),
            to,
            way,
            silence,
        };
        let (to, way, silence) = (
            Arc::clone(&relay.to),
            relay.way.clone(),
            relay.silence.clone(),
        );
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(
                    near,
                    to.load(Ordering::SeqCst),
                    way.subscribe(),
                    silence.subscribe(),
                ));
            }
        });
        relay
    }

    /// Ends all connections, and new ones at once.
    pub fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    /// Answers as a proxy does whose node is away, and ends those there are.
    pub fn bad_gateway(&self) {
        self.way.send_replace(Way::BadGateway);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.way.send_replace(Way::Open);
    }

    /// Connections that are open stay so, and carry nothing more.
    pub fn silence(&self) {
        self.silence.send_modify(|times| *times += 1);
    }

    /// New connections go to this port.
    pub fn lead_to(&self, port: u16) {
        self.to.store(port, Ordering::SeqCst);
    }
}

async fn carry(
    mut near: TcpStream,
    to: u16,
    mut way: watch::Receiver<Way>,
    mut silence: watch::Receiver<u32>,
) {
    let now = *way.borrow_and_update();
    if now == Way::BadGateway {
        let _ = near.read(&mut [0; 4_096]).await;
        let _ = near
            .write_all(
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            )
            .await;
    }
    if now != Way::Open {
        return;
    }
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", to)).await else {
        return;
    };
    let was = *silence.borrow_and_update();
    let is_silent = tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => false,
        _ = way.wait_for(|way| *way != Way::Open) => false,
        _ = silence.wait_for(|times| *times != was) => true,
    };
    if is_silent {
        // Both ends hold it for open.
        std::future::pending::<()>().await;
    }
}
