//! One node of all, by a lease in Redis.
//!
//! Invariants: no two hold a name at once, as far as Redis has one master: the holder counts from before it asked, stops
//! [`Lease::MARGIN`] before Redis may give the lease to another, and a Redis that may have forgotten a lease gives none for
//! as long as one lasts. Safety comes first: while Redis is away nobody holds anything for longer than 8 s. A node that ends
//! gives up what it holds once its holder has stopped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lane::Call;
use super::{Inner, number, scripts};
use crate::backoff::around;
use crate::broker::keep::{KeepError, Lease};
use crate::metrics;

/// How long Redis keeps a lease that is not renewed.
const LASTS: Duration = Duration::from_secs(10);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(3);
/// How often a node that waits asks.
const ASK: Duration = Duration::from_secs(1);
/// How long a node that ends waits for its holder to stop, before the lanes take their farewell.
const LEAVE: Duration = Duration::from_millis(300);
/// How soon a renewal that failed is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// One who asks for, or has, a name.
#[derive(Clone)]
struct Claim {
    inner: Arc<Inner>,
    keys: Vec<String>,
    /// Nobody else's.
    me: Bytes,
}

impl Claim {
    async fn ask(&self, fence: u64) -> Result<Option<u64>, KeepError> {
        let args = vec![
            self.me.clone(),
            number(LASTS.as_millis() as u64),
            number(fence),
        ];
        let (keys, script) = (self.keys.clone(), scripts::LEASE);
        let call = Call {
            name: "lease",
            script,
            keys,
            args,
            tells_again: false,
            since: None,
        };
        // The first shard stays the first one, however many are added.
        scripts::granted(self.inner.lanes[0].ask(call).await?)
    }

    async fn release(&self) {
        let (keys, args) = (self.keys[..1].to_vec(), vec![self.me.clone()]);
        let call = Call {
            name: "release",
            script: scripts::RELEASE,
            keys,
            args,
            tells_again: false,
            since: None,
        };
        // Where Redis does not hear of it, the lease runs out.
        let _ = self.inner.lanes[0].ask(call).await;
    }
}

/// Until when a lease that was asked for at `asked` holds.
fn until(asked: Instant) -> Instant {
    asked + (LASTS - Lease::MARGIN)
}

pub(super) async fn only_one(inner: &Arc<Inner>, name: &str) -> Lease {
    let key = |what: &str| format!("{}:{{only:{name}}}:{what}", inner.prefix);
    let me = format!("{:032x}", rand::random::<u128>()).into();
    let claim = Claim {
        inner: Arc::clone(inner),
        keys: vec![key("lease"), key("ground")],
        me,
    };
    // Whoever gives up waiting may be given it all the same.
    let mut wish = Wish(Some(claim.clone()));
    loop {
        let asked = Instant::now();
        let answer = claim.ask(0).await;
        if let Ok(Some(fence)) = answer
            && Instant::now() < until(asked)
        {
            wish.0 = None;
            return hold(claim, fence, until(asked));
        }
        tokio::time::sleep(around(ASK)).await;
    }
}

/// Asked for, and not had yet: dropping it gives it up.
struct Wish(Option<Claim>);

impl Drop for Wish {
    fn drop(&mut self) {
        if let Some(claim) = self.0.take() {
            let tasks = claim.inner.tasks.clone();
            tasks.spawn("keeper-lease", async move { claim.release().await });
        }
    }
}

fn hold(claim: Claim, fence: u64, first: Instant) -> Lease {
    let (ended, holds_until) = (CancellationToken::new(), Arc::new(Mutex::new(first)));
    let (release, mut released) = oneshot::channel::<()>();
    let lease = Lease::new(
        fence,
        ended.clone(),
        Some(Arc::clone(&holds_until)),
        move || drop(release),
    );
    let tasks = claim.inner.tasks.clone();
    tasks.clone().spawn("keeper-lease", async move {
        ::metrics::gauge!(metrics::LEASES).increment(1.0);
        tokio::select! {
            biased;
            _ = &mut released => claim.release().await,
            () = renew(&claim, fence, &holds_until) => {}
            () = tasks.stopped() => {
                ended.cancel();
                if tokio::time::timeout(LEAVE, &mut released).await.is_ok() {
                    claim.release().await;
                }
            }
        }
        ended.cancel();
        ::metrics::gauge!(metrics::LEASES).decrement(1.0);
    });
    lease
}

/// Renews until that cannot be done in time, or another has it.
async fn renew(claim: &Claim, fence: u64, holds_until: &Mutex<Instant>) {
    let mut pause = RENEW;
    loop {
        let end = *holds_until.lock();
        tokio::time::sleep_until(end.min(Instant::now() + pause)).await;
        let asked = Instant::now();
        if asked >= end {
            tracing::warn!(
                key = claim.keys[0],
                "Redis has not renewed a lease in time: it is given up"
            );
            return;
        }
        match tokio::time::timeout_at(end, claim.ask(fence)).await {
            Ok(Ok(Some(now))) if now == fence => {
                *holds_until.lock() = until(asked);
                pause = RENEW;
            }
            Ok(Ok(_)) => {
                tracing::warn!(
                    key = claim.keys[0],
                    "a lease is another node's by now: it is given up"
                );
                return;
            }
            Ok(Err(_)) | Err(_) => pause = AGAIN,
        }
    }
}
