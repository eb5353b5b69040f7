//! Both directions between a socket and a lane of a trunk, and from there to a connection of the visit's own.

use std::{
    convert::Infallible,
    future::pending,
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{Notify, SetOnce},
};

use super::{COPY_BYTES, End, Meter, finish, flow};
use crate::{
    trunk::{Lane, Received},
    tuning,
};

/// Bytes in large pieces after which a visit is worth a connection of its own: more than a page with its pictures has
/// at once.
const FLOWING_BYTES: usize = 256 * 1024;
/// What is no large piece: half of what was counted is forgotten.
const SMALL_BYTES: usize = COPY_BYTES / 4;

/// As [`super::join`], between a socket and a lane.
///
/// `flowing` is told when so much moves that a connection of its own would be better. Once `rest` has given one, each
/// direction goes on there: the end that sends says so in the lane, so that the one that receives has all that was
/// said before.
///
/// # Errors
/// Of the connection that broke.
pub async fn join_lane(
    socket: &mut TcpStream,
    lane: Lane,
    end: End,
    flowing: &Notify,
    rest: impl Future<Output = TcpStream>,
    meter: &Meter,
) -> io::Result<()> {
    let (into_lane, from_lane) = match end {
        End::Relay => (&meter.inward, &meter.outward),
        End::Client => (&meter.outward, &meter.inward),
    };
    let own = SetOnce::new();
    let mut visit = Visit { socket, own: &own, is_done: false };
    let (read, write) = visit.socket.split();
    let moving = async {
        // The only one.
        let _ = own.set(rest.await);
        pending::<Infallible>().await
    };
    let both = async {
        tokio::try_join!(
            send(read, &lane, Course::new(flowing), &own, into_lane),
            receive(write, &lane, Course::new(flowing), &own, from_lane),
        )
    };
    tokio::select! {
        ended = both => drop(ended?),
        never = moving => match never {},
    }
    visit.is_done = true;
    Ok(())
}

/// The sockets of a visit, reset when they are let go of before it is done. The lane does so by itself.
struct Visit<'a> {
    socket: &'a mut TcpStream,
    own: &'a SetOnce<TcpStream>,
    is_done: bool,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            tuning::abort(self.socket);
            self.own.get().into_iter().for_each(tuning::abort);
        }
    }
}

/// Watches how much moves in large pieces.
struct Course<'a> {
    flowing: &'a Notify,
    bytes: usize,
}

impl<'a> Course<'a> {
    fn new(flowing: &'a Notify) -> Self {
        Self { flowing, bytes: 0 }
    }

    fn saw(&mut self, len: usize) {
        self.bytes = if len < SMALL_BYTES { self.bytes / 2 } else { self.bytes + len };
        if self.bytes >= FLOWING_BYTES {
            self.bytes = 0;
            self.flowing.notify_one();
        }
    }
}

async fn send(
    mut from: ReadHalf<'_>,
    lane: &Lane,
    mut course: Course<'_>,
    own: &SetOnce<TcpStream>,
    count: &AtomicU64,
) -> io::Result<()> {
    loop {
        from.as_ref().readable().await?;
        // With nothing to send there was no reason to move.
        if let Some(to) = own.get() {
            lane.moved();
            return flow(from.as_ref(), to, count).await;
        }
        // Made when there is something to read and dropped before the next wait: idle connections are many.
        let mut buffer = Vec::with_capacity(COPY_BYTES);
        // Not `try_read`: this one knows that a buffer it could not fill leaves nothing behind, which saves a call.
        let len = from.read_buf(&mut buffer).await?;
        if len == 0 {
            return lane.end().await;
        }
        lane.send(&buffer).await?;
        count.fetch_add(len as u64, Ordering::Relaxed);
        course.saw(len);
    }
}

async fn receive(
    mut to: WriteHalf<'_>,
    lane: &Lane,
    mut course: Course<'_>,
    own: &SetOnce<TcpStream>,
    count: &AtomicU64,
) -> io::Result<()> {
    loop {
        match lane.receive().await? {
            Received::Data(data) => {
                to.write_all(&data).await?;
                lane.passed_on(data.len());
                count.fetch_add(data.len() as u64, Ordering::Relaxed);
                course.saw(data.len());
            }
            Received::End => return finish(to.as_ref()),
            Received::Moved => {
                return tokio::select! {
                    from = own.wait() => flow(from, to.as_ref(), count).await,
                    () = lane.broken() => Err(io::ErrorKind::ConnectionReset.into()),
                };
            }
        }
    }
}
