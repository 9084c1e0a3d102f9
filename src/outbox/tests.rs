//! The outbox in front of real sockets that take less than they are given.

use super::testing::BARE;
use super::*;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

const HEARTBEAT: &[u8] = &[0x89, 0];

async fn pair(bounds: Bounds) -> (Arc<Outbox>, TcpStream, tokio::net::tcp::OwnedReadHalf) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (far, near) = tokio::join!(
        TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    let (reader, writer) = near.unwrap().0.into_split();
    reader.as_ref().writable().await.unwrap();
    (Outbox::new(1, &BARE, bounds, writer), far.unwrap(), reader)
}

#[tokio::test]
async fn frames_go_out_whole_and_in_order_whatever_the_socket_takes() {
    let (outbox, mut far, _reader) = pair(Bounds {
        messages: 10_000,
        bytes: 64 << 20,
    })
    .await;
    let frames: Vec<Bytes> = (0..2_000_u32)
        .map(|n| Bytes::from(format!("{n:08}").repeat(2_000)))
        .collect();
    let expected: Vec<u8> = frames.iter().flatten().copied().collect();
    for (n, frame) in frames.iter().enumerate() {
        if n % 3 == 0 {
            assert!(outbox.push_all(std::slice::from_ref(frame)))
        } else {
            assert!(outbox.push(frame))
        }
    }
    assert!(!outbox.is_empty(), "the test must fill the socket");
    let flush = std::future::poll_fn(|cx| outbox.poll_flush(cx));
    let mut got = vec![0; expected.len()];
    let (flushed, read) = tokio::join!(flush, far.read_exact(&mut got));
    assert!(flushed.is_ok() && read.is_ok() && got == expected);
}

#[tokio::test]
async fn a_full_outbox_closes_its_connection_after_the_frame_that_is_half_sent() {
    let (outbox, mut far, reader) = pair(Bounds {
        messages: 4,
        bytes: 64 << 20,
    })
    .await;
    let frame = Bytes::from(vec![b'x'; 3_000_000]);
    while outbox.push(&frame) {}
    assert_eq!(outbox.take_close().map(|close| close.code), Some(1013));
    assert!(!outbox.push(&frame), "nothing more is taken");
    outbox.push_control(HEARTBEAT);
    let half = outbox.inner.lock().queue.bytes();
    assert!(half < 2 * frame.len());
    let flush = async {
        std::future::poll_fn(|cx| outbox.poll_flush(cx))
            .await
            .unwrap();
        drop((reader, outbox.clone()));
    };
    let read = async {
        let mut got = vec![0; 10 * frame.len()];
        let mut n = 0;
        while !got[..n].ends_with(HEARTBEAT) {
            n += far.read(&mut got[n..]).await.unwrap();
        }
        (n - HEARTBEAT.len()) % frame.len()
    };
    assert_eq!(tokio::join!(flush, read).1, 0, "only whole frames");
}

#[tokio::test]
async fn a_long_history_fits_where_many_messages_do_not() {
    let (outbox, mut far, _reader) = pair(Bounds {
        messages: 1_000,
        bytes: 8 << 20,
    })
    .await;
    let frames: Vec<Bytes> = (0..80_000_u32)
        .map(|n| Bytes::from(format!("{n:0100}")))
        .collect();
    let expected: Vec<u8> = frames.iter().flatten().copied().collect();
    assert!(outbox.push_all(&frames));
    let flush = std::future::poll_fn(|cx| outbox.poll_flush(cx));
    let mut got = vec![0; expected.len()];
    let (flushed, read) = tokio::join!(flush, far.read_exact(&mut got));
    assert!(flushed.is_ok() && read.is_ok() && got == expected);
    assert!(
        !outbox.push_all(&vec![Bytes::from(vec![b'x'; 100_000]); 200]),
        "bytes are bounded all the same"
    );
}
