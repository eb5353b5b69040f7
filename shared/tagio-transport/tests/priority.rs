//! A key press does not wait for a copy in the same session.

use std::net::{Ipv4Addr, SocketAddr};

use tagio_transport::{Connection, Endpoint, RecvStream};
use tokio::sync::oneshot;

/// As [`tagio_wire`]'s `StreamKind::Input`.
const KEY_PRIORITY: i32 = 40;
/// Below everything of the session.
const COPY_PRIORITY: i32 = -10;
/// What waits to be sent when the key is pressed: fits into a stream's window, so that writing it does not wait.
const QUEUED_BYTES: usize = 1 << 20;
const CHUNK_BYTES: usize = 1 << 14;
/// What the other end may have read of the copy when the key comes, as it reads both at once: all of it was queued
/// before the key.
const OVERTOOK_BYTES: usize = QUEUED_BYTES / 2;
const KEY: [u8; 16] = [1; 16];

#[test]
fn a_key_overtakes_what_was_queued_before_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let copied = runtime.block_on(copied_when_the_key_comes());
    println!("{copied} of {QUEUED_BYTES} bytes of the copy came before the key");
    assert!(copied < OVERTOOK_BYTES, "{copied} bytes of the copy came first");
}

/// How much of the copy the host has read, in bytes, when it reads the key.
async fn copied_when_the_key_comes() -> usize {
    let (host, viewer) = (endpoint(), endpoint());
    let (at_viewer, at_host) = tokio::join!(viewer.connect(host.local_addr()), async {
        host.accept().await.expect("a viewer").accept().await
    });
    let (at_viewer, at_host) = (at_viewer.expect("a host"), at_host.expect("a connection"));

    let mut keys = at_viewer.open_uni(KEY_PRIORITY).await.expect("a stream");
    let mut copy = at_viewer.open_uni(COPY_PRIORITY).await.expect("a stream");
    let (mut keys_read, copy_read) = (opened(&mut keys, &at_host).await, opened(&mut copy, &at_host).await);

    let (pressed, key_came) = oneshot::channel();
    let copied = tokio::spawn(read_until(copy_read, key_came));
    // Nothing of this waits, so that nothing is sent before all of it is queued.
    copy.write(&vec![7; QUEUED_BYTES]).await.expect("a host that reads");
    keys.write(&KEY).await.expect("a host that reads");
    keys_read.read_exact(&mut [0; KEY.len()]).await.expect("the key");
    pressed.send(()).ok();
    let copied = copied.await.expect("a copy that ends");
    at_viewer.close();
    copied
}

fn endpoint() -> Endpoint {
    Endpoint::bind(Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))).expect("a port of loopback")
}

/// The other end of a stream, which opens there with its first bytes.
async fn opened(stream: &mut tagio_transport::SendStream, at: &Connection) -> RecvStream {
    stream.write(&KEY).await.expect("a peer that reads");
    let mut read = at.accept_uni().await.expect("a stream");
    read.read_exact(&mut [0; KEY.len()]).await.expect("its first bytes");
    read
}

/// Reads the copy until the key has come, or to its end.
async fn read_until(mut copy: RecvStream, mut key_came: oneshot::Receiver<()>) -> usize {
    let (mut copied, mut chunk) = (0, vec![0; CHUNK_BYTES]);
    while copied < QUEUED_BYTES && key_came.try_recv().is_err() {
        copy.read_exact(&mut chunk).await.expect("the copy");
        copied += CHUNK_BYTES;
    }
    copied
}
