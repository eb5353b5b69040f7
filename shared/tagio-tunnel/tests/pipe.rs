//! Bytes between two connections: all of them, in order, each direction ended on its own, accidents passed on.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    io::ErrorKind,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tagio_tunnel::{
    pipe::{self, Meter},
    tuning,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than a direction may be quiet before its pipe is given back.
const PAUSE: Duration = Duration::from_millis(1200);

/// Both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(near, listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// A visitor and a service with a pipe in between.
async fn piped() -> (TcpStream, TcpStream, Arc<Meter>, JoinHandle<std::io::Result<()>>) {
    let (visitor, mut outside) = pair().await;
    let (mut inside, service) = pair().await;
    let meter = Arc::new(Meter::default());
    let counting = Arc::clone(&meter);
    let joined = tokio::spawn(async move { pipe::join(&mut outside, &mut inside, &counting).await });
    (visitor, service, meter, joined)
}

#[tokio::test]
async fn much_and_little_arrive_as_they_were_sent() {
    let (mut visitor, mut service, meter, joined) = piped().await;
    // Copied, spliced, and copied once more.
    let much: Vec<u8> = (0..1_u32 << 20).flat_map(u32::to_le_bytes).collect();
    let parts = [&b"little"[..], &much, b"again"];
    let expected = parts.concat();
    let sent = async {
        for part in parts {
            visitor.write_all(part).await.unwrap();
            tokio::time::sleep(PAUSE).await;
        }
        visitor.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let moving = async { tokio::join!(service.read_to_end(&mut received), sent) };
    timeout(PATIENCE, moving).await.unwrap().0.unwrap();
    assert!(received == expected, "{} bytes of {}, or others", received.len(), expected.len());
    // The visitor has said all and still listens.
    service.write_all(b"answer").await.unwrap();
    service.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, visitor.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"answer");
    timeout(PATIENCE, joined).await.unwrap().unwrap().unwrap();
    assert_eq!(meter.inward.load(Ordering::Relaxed), expected.len() as u64);
    assert_eq!(meter.outward.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn an_accident_is_not_taken_for_an_end() {
    let (mut visitor, mut service, _meter, joined) = piped().await;
    service.write_all(b"half of").await.unwrap();
    let mut half = [0; 7];
    timeout(PATIENCE, visitor.read_exact(&mut half)).await.unwrap().unwrap();
    tuning::abort(&service);
    drop(service);
    let read = timeout(PATIENCE, visitor.read(&mut half)).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(timeout(PATIENCE, joined).await.unwrap().unwrap().is_err());
}
