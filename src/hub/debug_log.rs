//! What is sent to clients, in the log at debug level, as the upstream server prints it.
//!
//! Invariant: at any other level this costs an event one look at the level, and a delivery nothing.

use tracing::Level;

use super::Subscriber;
use super::rendered::Rendered;
use crate::event::Event;

/// Bytes of a message that are shown.
const SHOWN: usize = 2_048;

/// Whether messages are to be shown.
pub(super) fn is_wanted() -> bool {
    tracing::enabled!(Level::DEBUG)
}

/// Shows `event` as it goes to each of `subscribers` that it is for.
pub(super) fn say(subscribers: &[Subscriber], event: &Event, rendered: &mut Rendered<'_>) {
    for subscriber in subscribers
        .iter()
        .filter(|subscriber| event.recipients.include(&subscriber.user))
    {
        let (id, user, kind) = (
            subscriber.outbox.id(),
            &*subscriber.user,
            subscriber.outbox.kind(),
        );
        let text = kind.wire.text(rendered.frame(kind));
        let message = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]);
        tracing::debug!(
            id,
            user,
            bytes = text.len(),
            "sending {}",
            message.trim_end()
        );
    }
}
