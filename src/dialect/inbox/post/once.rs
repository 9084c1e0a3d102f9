//! The same notification, posted again, is sent once.
//!
//! Invariants: what is taken for sent was sent, or is the broker's to send; where nobody knows, it is sent. It is done whether
//! the poster waits for it or not.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::counter;
use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use futures_util::future::join_all;
use sha1::{Digest, Sha1};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::super::addressees::Addressee;
use super::super::session::channel;
use super::super::{Inbox, figures};
use super::{Full, PIECE, fates};
use crate::broker::keep::{CLAIM, Fate, Saying};

/// How soon it is asked again what another is about to send.
const ASK: Duration = Duration::from_millis(100);
/// And after a while.
const ASK_LATER: Duration = Duration::from_secs(1);

/// Somebody whom a notification is for, and what says that he was sent it.
struct To {
    kind: String,
    user: String,
    what: String,
}

/// As [`super::publish`], for those who were not sent the same within `dedup`.
///
/// # Errors
/// [`Full`]: some of it was dropped, or another who was about to send the same has not said in time that it did. What is posted
/// again goes to those alone.
pub async fn publish(
    inbox: &Arc<Inbox>,
    users: &[Addressee<'_>],
    data: Bytes,
    dedup: Duration,
) -> Result<(), Full> {
    let to = |to: &Addressee<'_>| To {
        kind: to.kind.to_owned(),
        user: to.user.to_owned(),
        what: digest(to.kind, &data),
    };
    let mut seen = HashSet::new();
    let all = users.iter().filter(|to| seen.insert((to.kind, to.user)));
    let all: Vec<To> = all.map(to).collect();
    counter!(figures::REPEATED).increment((users.len() - all.len()) as u64);
    let (done, is_done) = oneshot::channel();
    let own = Arc::clone(inbox);
    inbox.context.tasks.spawn("inbox-once", async move {
        // The poster may have gone.
        let _ = done.send(send(&own, all, data, dedup).await);
    });
    is_done.await.unwrap_or(Err(Full))
}

fn digest(kind: &str, data: &[u8]) -> String {
    let digest = Sha1::new()
        .chain_update(kind)
        .chain_update([0])
        .chain_update(data)
        .finalize();
    BASE64_URL.encode(digest)
}

async fn send(inbox: &Inbox, all: Vec<To>, data: Bytes, dedup: Duration) -> Result<(), Full> {
    let mut is_whole = true;
    for piece in all.chunks(PIECE) {
        is_whole &= send_piece(inbox, piece, &data, dedup).await;
    }
    if is_whole { Ok(()) } else { Err(Full) }
}

/// Sends what can be claimed at once; what others are about to send is waited for with nothing claimed, so that two posts never
/// wait for each other. Returns whether everybody has it.
async fn send_piece(inbox: &Inbox, piece: &[To], data: &Bytes, dedup: Duration) -> bool {
    let (mut owed, mut is_whole): (Vec<&To>, bool) = (piece.iter().collect(), true);
    let (until, mut pause) = (Instant::now() + CLAIM, ASK);
    loop {
        let claims = join_all(owed.iter().map(|to| claim(inbox, to))).await;
        let (mut own, mut others, mut repeated) = (Vec::new(), Vec::new(), 0);
        for (to, claim) in owed.into_iter().zip(claims) {
            match claim {
                Some(Saying::Mine(claim)) => own.push((to, Some(claim))),
                Some(Saying::Claimed) => others.push(to),
                Some(Saying::Said) => repeated += 1,
                // Nobody knows.
                None => own.push((to, None)),
            }
        }
        counter!(figures::REPEATED).increment(repeated);
        is_whole &= send_own(inbox, &own, data, dedup).await;
        if others.is_empty() {
            return is_whole;
        }
        if Instant::now() >= until {
            return false;
        }
        sleep(pause).await;
        pause = (2 * pause).min(ASK_LATER);
        owed = others;
    }
}

/// Sends it to those who were claimed, and says what became of it. Returns whether all of them have it.
async fn send_own(
    inbox: &Inbox,
    own: &[(&To, Option<u128>)],
    data: &Bytes,
    dedup: Duration,
) -> bool {
    let users: Vec<Addressee<'_>> = own
        .iter()
        .map(|(to, _)| Addressee {
            kind: &to.kind,
            user: &to.user,
        })
        .collect();
    let fates = fates(inbox, &users, data.clone()).await;
    let settled = own.iter().zip(&fates).filter_map(|((to, claim), fate)| {
        let lasts = (*fate != Fate::Dropped).then_some(dedup);
        Some(settle(inbox, to, (*claim)?, lasts))
    });
    join_all(settled).await;
    !fates.contains(&Fate::Dropped)
}

/// What is known of it; `None`: nobody knows.
async fn claim(inbox: &Inbox, to: &To) -> Option<Saying> {
    let (keeper, channel) = (&inbox.context.keeper, channel(&to.user));
    keeper.claim(&channel, &to.what).await.ok()
}

async fn settle(inbox: &Inbox, to: &To, claim: u128, lasts: Option<Duration>) {
    let (keeper, channel) = (&inbox.context.keeper, channel(&to.user));
    // Where Redis is away the claim ends by itself, and what is posted again is sent again.
    let _ = keeper.settle(&channel, &to.what, claim, lasts).await;
}
