//! A TCP proxy that can misbehave like a network: hold, swallow, slow down, cut, refuse.
//!
//! Each direction of every connection through it, those open already included, follows the [`Flow`] set last. Between
//! two changes nothing is reordered, and what was held is passed on, in order, when it passes again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ports::free_port;

/// What happens to bytes in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    Pass,
    /// They wait; the sender is held up once the buffers are full.
    Hold,
    /// They are taken and thrown away: the sender believes that they arrived.
    Swallow,
    /// So many bytes pass in a twentieth of a second, on each connection.
    Slow(usize),
}

#[derive(Clone, Copy)]
struct State {
    to_server: Flow,
    to_client: Flow,
    /// Connections of an older round are cut.
    round: usize,
    /// Connections numbered below this that have subscribed to something in Redis hear nothing any more.
    deaf_below: usize,
}

/// The proxy.
pub struct Wire {
    port: u16,
    target: u16,
    state: watch::Sender<State>,
    open: Arc<AtomicUsize>,
    carried: Arc<AtomicUsize>,
    listener: Option<JoinHandle<()>>,
}

impl Wire {
    /// Forwards a free port of 127.0.0.1 to `target`.
    pub async fn to(target: u16) -> Self {
        Self::between(free_port(), target).await
    }

    /// Forwards `port` to `target`.
    pub async fn between(port: u16, target: u16) -> Self {
        let state = watch::Sender::new(State {
            to_server: Flow::Pass,
            to_client: Flow::Pass,
            round: 0,
            deaf_below: 0,
        });
        let mut wire = Self {
            port,
            target,
            state,
            open: Arc::default(),
            carried: Arc::default(),
            listener: None,
        };
        wire.accept().await;
        wire
    }

    /// Where to connect instead of the target.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Sets both directions.
    pub fn flow(&self, to_server: Flow, to_client: Flow) {
        self.state
            .send_modify(|state| (state.to_server, state.to_client) = (to_server, to_client));
    }

    /// A blackhole: connections stay open, and nothing passes in either direction ever.
    pub fn blackhole(&self) {
        self.flow(Flow::Swallow, Flow::Swallow);
    }

    /// All is well again for what is sent from now on.
    pub fn heal(&self) {
        self.flow(Flow::Pass, Flow::Pass);
    }

    /// Swallows what Redis says on the connections that are open now and have subscribed to something. Others, and those
    /// to come, are not touched.
    pub fn deafen(&self) {
        let next = self.carried.load(Ordering::Acquire);
        self.state.send_modify(|state| state.deaf_below = next);
    }

    /// Cuts all connections; new ones are taken.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.round += 1);
    }

    /// Refuses new connections, as a port does on which nothing listens. Open ones stay.
    pub async fn refuse(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.abort();
            let _ = listener.await;
        }
    }

    /// Takes new connections, again.
    pub async fn accept(&mut self) {
        if self.listener.is_some() {
            return;
        }
        let listener = TcpListener::bind(("127.0.0.1", self.port))
            .await
            .expect("the port is ours");
        let (target, state, open) = (self.target, self.state.clone(), Arc::clone(&self.open));
        let carried = Arc::clone(&self.carried);
        self.listener = Some(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = carried.fetch_add(1, Ordering::AcqRel);
                tokio::spawn(carry(
                    client,
                    target,
                    state.subscribe(),
                    Arc::clone(&open),
                    number,
                ));
            }
        }));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

async fn carry(
    client: TcpStream,
    target: u16,
    mut state: watch::Receiver<State>,
    open: Arc<AtomicUsize>,
    number: usize,
) {
    let round = state.borrow().round;
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    open.fetch_add(1, Ordering::AcqRel);
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let subscribed = AtomicBool::new(false);
    let note = |bytes: &[u8]| {
        if bytes.windows(9).any(|word| word == b"SUBSCRIBE") {
            subscribed.store(true, Ordering::Release);
        }
    };
    let deaf = |state: &State| number < state.deaf_below && subscribed.load(Ordering::Acquire);
    let up = pump(
        from_client,
        to_server,
        state.clone(),
        |state| state.to_server,
        note,
    );
    let down = pump(
        from_server,
        to_client,
        state.clone(),
        |state| {
            if deaf(state) {
                Flow::Swallow
            } else {
                state.to_client
            }
        },
        |_| {},
    );
    tokio::select! {
        _ = async { tokio::join!(up, down) } => {}
        _ = state.wait_for(|state| state.round != round) => {}
    }
    open.fetch_sub(1, Ordering::AcqRel);
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    flow: impl Fn(&State) -> Flow,
    note: impl Fn(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; 512 * 1024];
    loop {
        let size = from.read(&mut buffer).await?;
        note(&buffer[..size]);
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        // Which flow holds is asked after the bytes have come: a change counts for whatever has not been passed on.
        let now = flow(
            &*state
                .wait_for(|state| flow(state) != Flow::Hold)
                .await
                .map_err(|_| gone())?,
        );
        match (size, now) {
            // An end is swallowed too: whoever is behind a blackhole does not hear of it.
            (0, Flow::Swallow) => std::future::pending().await,
            (0, _) => return to.shutdown().await,
            (_, Flow::Swallow) => {}
            (_, Flow::Slow(bytes)) => {
                for piece in buffer[..size].chunks(bytes) {
                    to.write_all(piece).await?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            (_, _) => to.write_all(&buffer[..size]).await?,
        }
    }
}
