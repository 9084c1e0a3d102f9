//! Whether a user may publish, asked in MQTT 5: in 3.1.1 a broker takes what it then throws away, and says nothing.
//!
//! Invariant: nothing is left at the broker; one that does not speak MQTT 5 tells nothing, and that is no fault.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Source;
use super::address::Address;
use super::link::{Stream, dial};

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer at most: these are short.
const LONGEST: usize = 64 << 10;

/// Kinds of packets, as their first byte has them.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH_ONCE_AT_LEAST: u8 = 0x32;
const PUBACK: u8 = 0x40;
const DISCONNECT: u8 = 0xe0;

/// What a broker answers to a message: taken, taken and nobody is subscribed, not authorized.
const TAKEN: [u8; 2] = [0x00, 0x10];
const NOT_AUTHORIZED: u8 = 0x87;

/// Whether the user of `address` may publish at `topic`, by an empty message there; `None`: the broker does not tell.
pub(super) async fn may_publish(source: &Source, address: &Address, topic: &str) -> Option<bool> {
    timeout(WITHIN, ask(source, address, topic)).await.ok()?
}

async fn ask(source: &Source, address: &Address, topic: &str) -> Option<bool> {
    let mut stream = dial(address, source.ca.as_deref()).await.ok()?;
    let login = address.login.as_ref();
    let login = login.map(|(user, password)| (user.as_str(), password.as_str()));
    send(&mut stream, CONNECT, &connect(&source.client_id, login)).await?;
    let mut come = BytesMut::new();
    if *answer(&mut stream, &mut come, CONNACK).await?.get(1)? != 0 {
        return None;
    }
    send(&mut stream, PUBLISH_ONCE_AT_LEAST, &publish(topic)).await?;
    let said = answer(&mut stream, &mut come, PUBACK).await?;
    // Without a word it is taken.
    let said = said.get(2).copied().unwrap_or_default();
    // Where it is not heard, the end of the connection says the same.
    let _ = send(&mut stream, DISCONNECT, &[]).await;
    match said {
        NOT_AUTHORIZED => Some(false),
        said if TAKEN.contains(&said) => Some(true),
        _ => None,
    }
}

fn connect(client_id: &str, login: Option<(&str, &str)>) -> Vec<u8> {
    // A clean start, with user and password where there are any.
    let flags = if login.is_some() { 0xc2 } else { 0x02 };
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    // Version 5, a minute between signs of life, no properties.
    body.put_slice(&[5, flags, 0, 60, 0]);
    text(&mut body, client_id);
    if let Some((user, password)) = login {
        text(&mut body, user);
        text(&mut body, password);
    }
    body
}

fn publish(topic: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    // The message's number, no properties, and nothing in it.
    body.put_slice(&[0, 1, 0]);
    body
}

/// No text here is as long as 64 KiB.
fn text(body: &mut Vec<u8>, text: &str) {
    body.put_u16(text.len() as u16);
    body.put_slice(text.as_bytes());
}

async fn send(stream: &mut Box<dyn Stream>, kind: u8, body: &[u8]) -> Option<()> {
    let mut packet = vec![kind];
    let mut left = body.len();
    loop {
        let more = left > 0x7f;
        packet.push((left & 0x7f) as u8 | if more { 0x80 } else { 0 });
        left >>= 7;
        if !more {
            break;
        }
    }
    packet.extend_from_slice(body);
    stream.write_all(&packet).await.ok()?;
    stream.flush().await.ok()
}

/// The body of the next packet of this kind.
async fn answer(stream: &mut Box<dyn Stream>, come: &mut BytesMut, kind: u8) -> Option<Bytes> {
    loop {
        while let Some((first, body)) = whole(come) {
            if first & 0xf0 == kind {
                return Some(body);
            }
        }
        if come.len() > LONGEST || stream.read_buf(come).await.ok()? == 0 {
            return None;
        }
    }
}

/// Takes one packet from what has come, if all of it has: its first byte and its body.
fn whole(come: &mut BytesMut) -> Option<(u8, Bytes)> {
    let sizes = come.get(1..)?.iter().take(4);
    let used = sizes.clone().position(|byte| byte & 0x80 == 0)? + 1;
    let length = sizes
        .take(used)
        .rev()
        .fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
    if come.len() < 1 + used + length {
        return None;
    }
    let first = come.get_u8();
    come.advance(used);
    Some((first, come.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_when_all_of_them_is_there() {
        let mut come = BytesMut::from(&[0x20, 3, 0, 0][..]);
        assert_eq!(whole(&mut come), None);
        come.put_slice(&[0, 0x40, 0x81, 0x01]);
        assert_eq!(
            whole(&mut come),
            Some((0x20, Bytes::from_static(&[0, 0, 0])))
        );
        assert_eq!(whole(&mut come), None);
        come.put_slice(&[7; 129]);
        let (first, body) = whole(&mut come).expect("a packet");
        assert_eq!((first, body.len(), come.len()), (0x40, 129, 0));
    }

    #[test]
    fn what_is_sent_is_mqtt_5() {
        assert_eq!(
            connect("ab", Some(("u", "p"))),
            b"\0\x04MQTT\x05\xc2\0\x3c\0\0\x02ab\0\x01u\0\x01p"
        );
        assert_eq!(publish("t"), b"\0\x01t\0\x01\0");
    }
}
