//! Clients from many addresses.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::common::{Client, Keys, PATIENCE, hello, messages};

/// Clients of one address: as many new IDs as it may have at once.
const PER_ADDRESS: usize = 64;

/// Where the client with this number is at home.
pub(crate) fn home(number: usize) -> Ipv4Addr {
    let address = u32::try_from(number / PER_ADDRESS).expect("not that many clients");
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + address)
}

/// A connection from the home of the client with this number.
pub(crate) async fn dial(number: usize, relay: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((home(number), 0).into())?;
    Ok(timeout(PATIENCE, socket.connect(relay)).await??)
}

/// A control connection.
pub(crate) async fn control(number: usize, relay: &crate::relay::Relay, keys: &Keys) -> Result<Client> {
    control_at(number, relay.addr, relay.key, keys).await
}

/// As [`control`], for tasks.
pub(crate) async fn control_at(
    number: usize,
    relay: SocketAddr,
    key: tagio_wire::PublicKey,
    keys: &Keys,
) -> Result<Client> {
    Client::ik_over(dial(number, relay).await?, key, keys, &hello()).await
}

/// A client of TAGIO messages by plain TCP that knows its ID.
pub(crate) async fn plain(number: usize, relay: SocketAddr) -> Result<TcpStream> {
    let mut stream = dial(number, relay).await?;
    stream.write_all(&messages::ping()).await?;
    // The header, the type and an ID.
    let mut ack = [0; 16];
    timeout(PATIENCE, stream.read_exact(&mut ack)).await??;
    messages::acked(&ack);
    Ok(stream)
}

/// Does `one` for each number below `count`, so many of them at a time; what became of them, in no order.
pub(crate) async fn each<T, F>(count: usize, at_once: usize, one: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut done = Vec::new();
    for number in 0..count {
        if tasks.len() == at_once {
            done.extend(tasks.join_next().await.map(Result::unwrap));
        }
        tasks.spawn(one(number));
    }
    while let Some(ended) = tasks.join_next().await {
        done.push(ended.unwrap());
    }
    done
}

/// The time below which this share of `times` is; `times` must not be empty.
pub(crate) fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let place = (times.len() as f64 * share) as usize;
    times[place.min(times.len() - 1)]
}
