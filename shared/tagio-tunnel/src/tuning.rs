//! What TCP sockets of tunnels are told, so that dead ones are noticed.

use std::{io, net::Shutdown, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Idle connections are asked for a sign of life after this time: home routers forget them after minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// And again after this.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Sent bytes that nobody takes for this long end a connection, also when its other end is there and does not read:
/// web servers have a minute of patience with such a visitor.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(300);

/// Sends small packets at once and notices when the other end is gone. A socket that refuses is dying.
pub fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
}

/// Tells the other end that nothing more comes from here.
pub fn finish(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).shutdown(Shutdown::Write)
}

/// Makes the coming close a reset, so that the other end does not take an accident for the end of a file.
pub fn abort(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
