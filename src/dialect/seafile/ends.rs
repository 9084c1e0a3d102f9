//! When subscriptions end: asked of sessions by mail, since only they know.
//!
//! Invariant: pure. A question is a JSON array of channels, an answer one of Unix milliseconds in the same order, `null`
//! for a subscription that never ends or that there is not.

use bytes::Bytes;

use crate::event::Channel;

/// Asks a session about `channels`.
pub fn question(channels: &[Channel]) -> Bytes {
    let names: Vec<&str> = channels.iter().map(Channel::as_str).collect();
    serde_json::to_vec(&names).unwrap_or_default().into()
}

/// A session's answer; `end` tells when its subscription to a channel ends.
pub fn answer(question: &[u8], end: impl Fn(&str) -> Option<u64>) -> Option<Bytes> {
    let channels: Vec<String> = serde_json::from_slice(question).ok()?;
    let ends: Vec<Option<u64>> = channels.iter().map(|channel| end(channel)).collect();
    Some(serde_json::to_vec(&ends).ok()?.into())
}

/// Those of `channels`, as they were asked for, that end.
pub fn read<'a>(
    channels: &'a [Channel],
    answer: &[u8],
) -> impl Iterator<Item = (&'a Channel, u64)> {
    let ends: Vec<Option<u64>> = serde_json::from_slice(answer).unwrap_or_default();
    channels
        .iter()
        .zip(ends)
        .filter_map(|(channel, end)| Some((channel, end?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_answered_in_order() {
        let channels = ["a", "b\n\"", "c"].map(|name| Channel::new("repo", name));
        let end = |channel: &str| match channel {
            "repo/a" => Some(1),
            "repo/b\n\"" => Some(u64::MAX - 1),
            _ => None,
        };
        let answer = answer(&question(&channels), end).expect("an answer");
        let read: Vec<_> = read(&channels, &answer).collect();
        assert_eq!(read, [(&channels[0], 1), (&channels[1], u64::MAX - 1)]);
        assert_eq!(super::answer(b"[", end), None);
    }
}
