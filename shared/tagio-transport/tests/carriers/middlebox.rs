//! A box that takes every TCP connection, and lets through those whose first bytes it likes; the others hear nothing.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

pub(crate) struct Middlebox {
    pub(crate) address: SocketAddr,
    openings: Arc<Mutex<Vec<String>>>,
    generation: watch::Sender<u32>,
    _task: JoinSet<()>,
}

impl Middlebox {
    /// In front of `relay`; likes what begins with one of these.
    pub(crate) async fn start(relay: SocketAddr, passes: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let openings = Arc::<Mutex<Vec<String>>>::default();
        let (generation, alive) = watch::channel(0);
        let (passes, seen) = (passes.to_vec(), Arc::clone(&openings));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (passes, seen, mut alive) = (passes.clone(), Arc::clone(&seen), alive.clone());
                alive.mark_unchanged();
                connections.spawn(async move {
                    tokio::select! {
                        () = serve(stream, relay, &passes, &seen) => {}
                        _ = alive.changed() => {}
                    }
                });
            }
        });
        Self { address, openings, generation, _task: task }
    }

    /// The first bytes of every connection so far.
    pub(crate) fn openings(&self) -> Vec<String> {
        self.openings.lock().expect("no panic").clone()
    }

    /// Closes all connections that there are.
    pub(crate) fn break_all(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

async fn serve(mut stream: TcpStream, relay: SocketAddr, passes: &[&str], seen: &Mutex<Vec<String>>) {
    stream.set_nodelay(true).expect("a socket");
    let mut first = vec![0; 64];
    let Ok(len) = stream.read(&mut first).await else { return };
    first.truncate(len);
    let text = String::from_utf8_lossy(&first).into_owned();
    seen.lock().expect("no panic").push(text.clone());
    if !passes.iter().any(|start| text.starts_with(start)) {
        return std::future::pending().await;
    }
    let Ok(mut on) = TcpStream::connect(relay).await else { return };
    on.set_nodelay(true).expect("a socket");
    if on.write_all(&first).await.is_ok() {
        copy_bidirectional(&mut stream, &mut on).await.ok();
    }
}
