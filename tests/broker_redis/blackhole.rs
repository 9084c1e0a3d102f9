//! A TCP proxy whose connections can go deaf: they stay open and carry nothing more, as behind a firewall that forgot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

#[derive(Default)]
struct Pipe {
    deaf: AtomicBool,
    subscribed: AtomicBool,
    /// What comes from now on is kept back until it is let go, also when the near side has hung up.
    kept_back: AtomicBool,
    let_go: Notify,
}

/// The proxy.
pub struct Blackhole {
    pub port: u16,
    pipes: Arc<Mutex<Vec<Arc<Pipe>>>>,
    subscriptions: Arc<AtomicUsize>,
    /// Whether whoever subscribes from now on hears nothing.
    deafens: Arc<AtomicBool>,
    /// Whether what comes back is swallowed.
    mute: Arc<AtomicBool>,
    delay_ms: Arc<AtomicUsize>,
}

/// What is done with what comes from the near side.
struct Near {
    subscriptions: Arc<AtomicUsize>,
    deafens: Arc<AtomicBool>,
}

enum Direction {
    There(Near),
    /// Unless it is mute.
    Back(Arc<AtomicBool>),
}

impl Blackhole {
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (pipes, subscriptions) = (
            Arc::<Mutex<Vec<Arc<Pipe>>>>::default(),
            Arc::<AtomicUsize>::default(),
        );
        let delay_ms = Arc::<AtomicUsize>::default();
        let (deafens, mute) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let muted = Arc::clone(&mute);
        let (list, count, deaf, delay) = (
            Arc::clone(&pipes),
            Arc::clone(&subscriptions),
            Arc::clone(&deafens),
            Arc::clone(&delay_ms),
        );
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else {
                    continue;
                };
                let pipe = Arc::<Pipe>::default();
                list.lock().push(Arc::clone(&pipe));
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                let noted = Near {
                    subscriptions: Arc::clone(&count),
                    deafens: Arc::clone(&deaf),
                };
                let there = Direction::There(noted);
                let back = Direction::Back(Arc::clone(&muted));
                let carried = Arc::clone(&pipe);
                tokio::spawn(carry(near_in, far_out, carried, there, Arc::clone(&delay)));
                tokio::spawn(carry(far_in, near_out, pipe, back, Arc::clone(&delay)));
            }
        });
        Self {
            port,
            pipes,
            subscriptions,
            deafens,
            mute,
            delay_ms,
        }
    }

    /// Whether nothing comes back: what is sent arrives, and its answers are swallowed.
    pub fn swallow_answers(&self, swallow: bool) {
        self.mute.store(swallow, Ordering::SeqCst);
    }

    /// From now on everything takes so long on its way, in each direction.
    pub fn delay(&self, delay: Duration) {
        self.delay_ms
            .store(delay.as_millis() as usize, Ordering::SeqCst);
    }

    /// Connections that are open carry nothing more until [`Blackhole::let_go`]; new ones do.
    pub fn keep_back_what_is_open(&self) {
        let pipes = self.pipes.lock();
        let keep_back = |pipe: &Arc<Pipe>| pipe.kept_back.store(true, Ordering::SeqCst);
        pipes.iter().for_each(keep_back);
    }

    /// What was kept back comes now.
    pub fn let_go(&self) {
        let pipes = self.pipes.lock();
        for pipe in pipes.iter() {
            if pipe.kept_back.swap(false, Ordering::SeqCst) {
                // Both directions wait for it.
                pipe.let_go.notify_waiters();
            }
        }
    }

    pub fn swallow_what_is_open(&self) {
        self.pipes
            .lock()
            .iter()
            .for_each(|pipe| pipe.deaf.store(true, Ordering::SeqCst));
    }

    pub fn swallow_subscriptions(&self) {
        let pipes = self.pipes.lock();
        let subscribed = pipes
            .iter()
            .filter(|pipe| pipe.subscribed.load(Ordering::SeqCst));
        subscribed.for_each(|pipe| pipe.deaf.store(true, Ordering::SeqCst));
    }

    /// Whether those that subscribe from now on hear nothing: not even that they are subscribed.
    pub fn swallow_subscriptions_to_come(&self, swallow: bool) {
        self.deafens.store(swallow, Ordering::SeqCst);
    }

    /// How many connections have subscribed so far.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::SeqCst)
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    pipe: Arc<Pipe>,
    direction: Direction,
    delay_ms: Arc<AtomicUsize>,
) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let kept_back = Arc::clone(&pipe);
    tokio::spawn(async move {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            loop {
                let let_go = kept_back.let_go.notified();
                tokio::pin!(let_go);
                let_go.as_mut().enable();
                if !kept_back.kept_back.load(Ordering::SeqCst) {
                    break;
                }
                let_go.await;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if let Direction::Back(mute) = &direction
            && mute.load(Ordering::SeqCst)
        {
            continue;
        }
        if let Direction::There(near) = &direction
            && buffer[..read]
                .windows(9)
                .any(|window| window.eq_ignore_ascii_case(b"subscribe"))
            && !pipe.subscribed.swap(true, Ordering::SeqCst)
        {
            near.subscriptions.fetch_add(1, Ordering::SeqCst);
            pipe.deaf
                .fetch_or(near.deafens.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        let due = Instant::now() + Duration::from_millis(delay_ms.load(Ordering::SeqCst) as u64);
        if !pipe.deaf.load(Ordering::SeqCst) && sender.send((due, buffer[..read].to_vec())).is_err()
        {
            return;
        }
    }
}
