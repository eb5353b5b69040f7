//! A small HTTP proxy that knows one relay by any name, with Basic authentication.

use std::net::SocketAddr;

use data_encoding::BASE64;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What a proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// `CONNECT`, for TLS inside; refuses everything else.
    Tunnels,
    /// Requests in the absolute form, one for each connection; refuses `CONNECT`.
    Forwards,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Before `relay`; asks for a name and a password where there is a `login`.
    pub(crate) async fn start(
        relay: SocketAddr,
        manners: Manners,
        login: Option<(&'static str, &'static str)>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(async move { serve(stream, relay, manners, login).await.unwrap_or(()) });
            }
        });
        Self { address, _task: task }
    }
}

async fn serve(
    stream: TcpStream,
    relay: SocketAddr,
    manners: Manners,
    login: Option<(&str, &str)>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        head.push(line);
    }
    let expected = login.map(|(user, password)| BASE64.encode(format!("{user}:{password}").as_bytes()));
    let shown = |basic: &String| {
        let line = format!("proxy-authorization: Basic {basic}\r\n");
        head.iter().any(|header| header.eq_ignore_ascii_case(&line))
    };
    if !expected.as_ref().is_none_or(shown) {
        let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"test\"\r\n\
                      Content-Length: 0\r\n\r\n";
        return stream.write_all(answer.as_bytes()).await;
    }
    let is_tunnel = head[0].starts_with("CONNECT ");
    if is_tunnel != (manners == Manners::Tunnels) {
        return stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n").await;
    }
    let mut on = TcpStream::connect(relay).await?;
    on.set_nodelay(true)?;
    if is_tunnel {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        let mut first = [0; 2];
        stream.read_exact(&mut first).await?;
        if first != [0x16, 0x03] {
            return Ok(());
        }
        on.write_all(&first).await?;
    } else {
        let mut parts = head[0].splitn(3, ' ');
        let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let path = target.strip_prefix("http://").and_then(|target| target.find('/').map(|at| &target[at..]));
        let Some(path) = path else {
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        };
        let mut rewritten = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let is_passed = |line: &&String| !line.to_ascii_lowercase().starts_with("proxy-");
        head[1..].iter().filter(is_passed).for_each(|line| rewritten.push_str(line));
        rewritten.push_str("\r\n");
        on.write_all(rewritten.as_bytes()).await?;
    }
    copy_bidirectional(&mut stream, &mut on).await?;
    Ok(())
}
