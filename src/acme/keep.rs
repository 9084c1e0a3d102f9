//! When what is ordered: what is missing at once, what is there before it ends, and what failed again after a pause.
//!
//! Invariants: one order at a time. Attempts that fail stay below what Let's Encrypt lets pass, five an hour and host; SIGHUP
//! has them tried at once. Pauses are measured, not looked up on the clock, which may be set while they last.

use std::sync::Arc;
use std::time::Duration;

use ::metrics::{counter, gauge};
use instant_acme::ChallengeType;
use tokio::time::{Instant, sleep, timeout};

use super::account::Holder;
use super::held::Held;
use super::order::order;
use super::{Acme, AcmeError};
use crate::backoff::Backoff;
use crate::event::now_ms;
use crate::metrics;

/// The pause after the first failure, and after many.
const PAUSES: (Duration, Duration) = (Duration::from_secs(4 * 60), Duration::from_secs(60 * 60));
/// How long one order may take in all.
const WITHIN: Duration = Duration::from_secs(5 * 60);
/// How often the clock is looked at, which may have been set, or have stood still with the machine.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// No certificate is so short that it is ordered again sooner.
const LEAST: Duration = Duration::from_secs(5);

/// A host, and when its certificate is ordered, Unix milliseconds.
struct Due {
    host: String,
    at_ms: u64,
    /// Not before this, whatever the clock says.
    rests: Instant,
    backoff: Backoff,
    failed: bool,
}

impl Due {
    /// How long until then.
    fn left(&self) -> Duration {
        let left = Duration::from_millis(self.at_ms.saturating_sub(now_ms()));
        left.max(self.rests.saturating_duration_since(Instant::now()))
    }

    /// It is tried again after a pause, which is returned.
    fn fails(&mut self) -> Duration {
        let pause = self.backoff.pause();
        self.failed = true;
        self.at_ms = 0;
        self.rests = Instant::now() + pause;
        pause
    }
}

/// Orders for ever.
pub(super) async fn keep(acme: &Arc<Acme>) {
    let mut holder = Holder::new(acme).await;
    let mut due: Vec<Due> = acme
        .wanted
        .hosts
        .iter()
        .map(|host| first(acme, host))
        .collect();
    while let Some(next) = due.iter_mut().min_by_key(|due| due.left()) {
        let left = next.left();
        if left.is_zero() {
            attend(acme, &mut holder, next).await;
            continue;
        }
        tokio::select! {
            () = sleep(left.min(LOOK_EVERY)) => {}
            () = acme.now.notified() => {
                due.iter_mut().filter(|due| due.failed).for_each(|due| due.rests = Instant::now());
            }
        }
    }
}

fn first(acme: &Acme, host: &str) -> Due {
    Due {
        host: host.to_owned(),
        at_ms: acme.shown.renewed_ms(host),
        rests: Instant::now(),
        backoff: Backoff::new(PAUSES.0, PAUSES.1),
        failed: false,
    }
}

/// Orders what is due now.
async fn attend(acme: &Arc<Acme>, holder: &mut Holder, due: &mut Due) {
    let host = &due.host;
    match certificate(acme, holder, host).await {
        Ok(held) => {
            due.failed = false;
            due.backoff.reset();
            due.at_ms = held.renewed_ms();
            // To a clock that is far ahead it has ended already: it is not ordered again and again for that.
            due.rests = Instant::now() + LEAST.max(held.whole() / 10);
            acme.failing.lock().remove(host);
            failing(host, false);
            acme.shown.show(host, held);
        }
        Err(error) => {
            let pause = due.fails();
            if error.is_unknown_account() {
                holder.forget();
            }
            tell(acme, &due.host, &error, pause);
        }
    }
}

fn tell(acme: &Acme, host: &str, error: &AcmeError, pause: Duration) {
    let (advice, minutes) = (error.advice(), pause.as_secs().div_ceil(60));
    let still = match acme.shown.until_ms(host) > now_ms() {
        true => "the former one stays in use",
        false => "clients cannot be let in",
    };
    // First of all, so that who has seen one of the others finds out why.
    let words = format!("{error}: {advice}");
    acme.failing.lock().insert(host.to_owned(), words);
    counted(host, error.label());
    failing(host, true);
    tracing::error!(%host, %error, "certificate not ordered, so {still}: {advice}. The next attempt is in {minutes} minutes, or on SIGHUP");
}

fn counted(host: &str, result: &'static str) {
    counter!(metrics::CERTIFICATE_ORDERS, "host" => host.to_owned(), "result" => result)
        .increment(1);
}

fn failing(host: &str, is: bool) {
    gauge!(metrics::CERTIFICATE_FAILING, "host" => host.to_owned()).set(f64::from(u8::from(is)));
}

/// The next certificate of `host`: from the cache, where another node has put one there meanwhile, or ordered.
async fn certificate(acme: &Arc<Acme>, holder: &mut Holder, host: &str) -> Result<Held, AcmeError> {
    let (name, shown_until) = (host.to_owned(), acme.shown.until_ms(host));
    let cached = acme.aside(move |acme| acme.cached(&name)).await.flatten();
    let fresh = |held: &Held| held.until_ms > shown_until && held.renewed_ms() > now_ms();
    if let Some(held) = cached.filter(fresh) {
        tracing::info!(%host, "certificate taken from the cache, where another node has put it");
        return Ok(held);
    }
    let kind = match acme.wanted.http {
        Some(_) => ChallengeType::Http01,
        None => ChallengeType::TlsAlpn01,
    };
    let ordered = timeout(WITHIN, async {
        let account = holder.account().await?;
        order(&account, &acme.shown, host, &kind).await
    });
    let pem = ordered.await.unwrap_or(Err(AcmeError::Late))?;
    let held = Held::read(&pem)?;
    acme.keep(host, pem);
    counted(host, "ok");
    tracing::info!(%host, "certificate ordered");
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_it_is_tried_again_in_time_though_the_clock_was_set_back() {
        let year = 365 * 24 * 60 * 60 * 1_000;
        let mut due = Due {
            host: "a.example".into(),
            at_ms: now_ms() + year,
            rests: Instant::now(),
            backoff: Backoff::new(PAUSES.0, PAUSES.1),
            failed: false,
        };
        assert!(due.left() > PAUSES.1);
        let pause = due.fails();
        assert!(due.left() <= pause && due.failed);
    }
}
