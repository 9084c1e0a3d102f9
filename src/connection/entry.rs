//! Who comes in by whatever transport, and what all transports tell of those who do not.
//!
//! Invariant: a client that is let in is counted until its connection ends; one that is refused is counted by the limit it hit,
//! and said once a minute.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use ::metrics::{Gauge, counter, gauge};
use http::HeaderValue;
use http::header::ORIGIN;
use http::request::Parts;

use super::{ClientInfo, Shared};
use crate::admission::{Admitted, Rejection};
use crate::drain::Phase;
use crate::event::now_ms;
use crate::metrics;
use crate::outbox::Kind;
use crate::throttle::and_more;

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The node is about to end.
    #[error("this node is about to end")]
    Draining,
    /// A limit is hit.
    #[error("{}", .0.advice())]
    Rejected(Rejection),
}

impl Refused {
    /// The counter's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Rejected(rejection) => rejection.label(),
        }
    }

    /// What the client is told.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Draining => "This node is about to end; another one will take you.\n",
            Self::Rejected(rejection) => rejection.advice(),
        }
    }

    /// Whether trying again later, or at another node, may help.
    pub fn is_temporary(self) -> bool {
        match self {
            Self::Draining => true,
            Self::Rejected(rejection) => rejection.is_temporary(),
        }
    }
}

/// A client that is let in.
pub(super) struct Visit {
    pub(super) client: ClientInfo,
    pub(super) admitted: Admitted,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub(super) enum Wish {
    #[strum(serialize = "a WebSocket handshake")]
    WebSocket,
    /// Pages of which origins may read it is the business of its dialect, which has to answer them in a way of its own.
    #[strum(serialize = "an event stream")]
    Stream,
    #[strum(serialize = "a session without a connection of its own")]
    Detached,
}

/// Lets in who sent `request`, or says why not.
pub(super) fn enter(
    shared: &Shared,
    kind: &'static Kind,
    wish: Wish,
    request: &Parts,
) -> Result<Visit, Refused> {
    let address = shared.admission.sender(request);
    if shared.life.phase() == Phase::Closing {
        count(kind, Refused::Draining.label());
        return Err(Refused::Draining);
    }
    let origin = request.headers.get(ORIGIN).filter(|_| wish != Wish::Stream);
    match shared.admission.admit(address, origin) {
        Ok(admitted) => {
            count(kind, "accepted");
            let id = shared.ids.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(Visit {
                client: ClientInfo { id, address, kind },
                admitted,
            })
        }
        Err(rejection) => {
            count(kind, rejection.label());
            let advice = rejection.advice();
            let advice = match origin.filter(|_| rejection == Rejection::Origin) {
                Some(origin) => format!("{advice}It is {}.", short(origin)),
                None => advice.to_owned(),
            };
            warn(shared, wish, address, rejection.label(), &advice);
            Err(Refused::Rejected(rejection))
        }
    }
}

/// Counts how an attempt to come in went.
pub(super) fn count(kind: &'static Kind, result: &'static str) {
    counter!(metrics::HANDSHAKES, "dialect" => kind.dialect, "result" => result).increment(1);
}

/// Says who was refused, once a minute for each kind, and what would mend it.
pub(super) fn warn(shared: &Shared, wish: Wish, client: IpAddr, kind: &'static str, advice: &str) {
    let wish: &str = wish.into();
    tracing::debug!(%client, kind, "{wish} was refused");
    if let Some(unsaid) = shared.warnings.say(kind, now_ms()) {
        let advice = advice.split_whitespace().collect::<Vec<_>>().join(" ");
        tracing::warn!(%client, kind, "{wish} was refused{}: {advice}", and_more(unsaid));
    }
}

/// A header's value as lines show it; it is as long as its sender likes.
fn short(value: &HeaderValue) -> String {
    let text = format!("{value:?}");
    text.chars().take(100).collect()
}

/// An open connection, as metrics count it.
pub(super) struct Open {
    kind: &'static Kind,
    gauge: Gauge,
}

impl Open {
    /// One more is open.
    pub(super) fn new(kind: &'static Kind) -> Self {
        let gauge = gauge!(metrics::CONNECTIONS, "dialect" => kind.dialect, "client" => kind.label);
        gauge.increment(1.0);
        tracing::debug!("connected");
        Self { kind, gauge }
    }

    /// It has ended like this.
    pub(super) fn ended(&self, why: &'static str, reason: &str) {
        self.gauge.decrement(1.0);
        counter!(metrics::CLOSES, "dialect" => self.kind.dialect, "reason" => why).increment(1);
        tracing::debug!(why, reason, "disconnected");
    }
}
