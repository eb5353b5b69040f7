//! Clients of TAGIO messages and of the length-prefixed protocol, written from the protocol's description alone.

use std::net::{IpAddr, SocketAddr};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use super::PATIENCE;

pub const HEADER: &[u8] = b"TAGIO\x00\x00\x00\x01";

/// A message of a type with a payload.
pub fn message(kind: &str, payload: &[u8]) -> Vec<u8> {
    [HEADER, kind.as_bytes(), payload].concat()
}

pub fn ping() -> Vec<u8> {
    message("PING", b"")
}

/// `MSG`: to a client from here, from a client where it is delivered.
pub fn msg(id: u32, payload: &[u8]) -> Vec<u8> {
    message("MSG", &[&id.to_le_bytes()[..], payload].concat())
}

pub fn error(code: &str) -> Vec<u8> {
    message("ERR", code.as_bytes())
}

/// The ID in an `ACK`.
pub fn acked(bytes: &[u8]) -> u32 {
    let id = bytes.strip_prefix(&message("ACK", b"")[..]).unwrap_or_else(|| panic!("no ACK: {bytes:?}"));
    u32::from_le_bytes(id.try_into().unwrap())
}

/// A client by WebSocket.
pub struct WsClient<S = TcpStream> {
    pub socket: WebSocketStream<S>,
    pub id: u32,
}

impl WsClient {
    pub async fn connect(relay: SocketAddr) -> Self {
        Self::over(TcpStream::connect(relay).await.unwrap(), "/ws").await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsClient<S> {
    /// Upgrades at `path` and greets.
    pub async fn over(stream: S, path: &str) -> Self {
        let mut client = Self { socket: upgrade(stream, path, None).await.unwrap(), id: 0 };
        client.send(ping()).await;
        client.id = acked(&client.recv().await);
        client
    }

    pub async fn send(&mut self, message: Vec<u8>) {
        self.socket.send(Message::binary(message)).await.unwrap();
    }

    /// The next binary message.
    pub async fn recv(&mut self) -> Vec<u8> {
        loop {
            match self.next().await {
                Some(Ok(Message::Binary(bytes))) => return bytes.to_vec(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// The code of the close frame that comes next.
    pub async fn closed(&mut self) -> u16 {
        match self.next().await {
            Some(Ok(Message::Close(Some(frame)))) => frame.code.into(),
            other => panic!("expected a close frame, got {other:?}"),
        }
    }

    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        timeout(PATIENCE, self.socket.next()).await.expect("something comes")
    }

    /// Asks for its own ID, behind everything that it has said before.
    pub async fn is_served(&mut self) {
        self.send(ping()).await;
        assert_eq!(acked(&self.recv().await), self.id);
    }
}

/// Asks for a WebSocket.
pub async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    path: &str,
    secret: Option<&str>,
) -> Result<WebSocketStream<S>, Error> {
    let mut request = format!("ws://relay.example{path}").into_client_request()?;
    if let Some(secret) = secret {
        request.headers_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    }
    timeout(PATIENCE, client_async(request, stream)).await.expect("an answer").map(|(socket, _)| socket)
}

/// An answer by HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub session: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The messages of a batch.
    pub fn batch(&self) -> Vec<Vec<u8>> {
        let (mut rest, mut messages) = (&self.body[..], Vec::new());
        while let Some((len, more)) = rest.split_first_chunk::<4>() {
            let (message, more) = more.split_at(u32::from_be_bytes(*len) as usize);
            messages.push(message.to_vec());
            rest = more;
        }
        assert!(rest.is_empty());
        messages
    }
}

/// Sends one `POST`; the head may name the session and more.
pub async fn post(relay: SocketAddr, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(relay).await.unwrap();
    let mut head =
        format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer").unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    let (head, body) = (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec());
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    assert_eq!(field("content-length: ").unwrap(), body.len().to_string());
    Answer { status, session: field("x-tagio-session: "), body }
}

/// A client by HTTP.
#[derive(Clone)]
pub struct HttpClient {
    relay: SocketAddr,
    pub session: String,
    pub id: u32,
}

impl HttpClient {
    pub async fn connect(relay: SocketAddr) -> Self {
        let answer = post(relay, &[], &ping()).await;
        assert_eq!(answer.status, 200);
        let session = answer.session.expect("the first answer names the session");
        Self { relay, session, id: acked(&answer.body) }
    }

    pub async fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let session = ("X-TagIO-Session", self.session.as_str());
        post(self.relay, &[&[session], headers].concat(), body).await
    }

    /// Waits for one message.
    pub async fn poll(&self) -> Vec<u8> {
        self.post(&[("X-TagIO-Wait", "4")], &ping()).await.body
    }
}

/// A client of the length-prefixed protocol.
pub struct Registrant {
    pub stream: TcpStream,
}

/// A text behind its length.
pub fn lp(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes()[..], text].concat()
}

impl Registrant {
    /// Connects and says its name, and what follows it.
    pub async fn open(relay: SocketAddr, from: IpAddr, name: &str, more: &[u8]) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        let mut stream = socket.connect(relay).await.unwrap();
        stream.write_all(&[&lp(name.as_bytes())[..], more].concat()).await.unwrap();
        Self { stream }
    }

    pub async fn register(relay: SocketAddr, from: IpAddr, name: &str) -> Self {
        let mut client = Self::open(relay, from, name, b"").await;
        assert_eq!(client.number().await, 0);
        assert_eq!(client.addr().await, client.stream.local_addr().unwrap());
        client
    }

    pub async fn look_up(&mut self, name: &str) {
        self.stream.write_all(&[&3_u32.to_be_bytes()[..], &lp(name.as_bytes())].concat()).await.unwrap();
    }

    /// The answer to it, which has to be an address: nothing but what follows tells it from the other.
    pub async fn found(&mut self, name: &str) -> SocketAddr {
        assert_eq!((self.number().await, self.text().await), (4, name.to_owned()));
        let addr = self.addr().await;
        assert_eq!(self.byte().await, 1);
        addr
    }

    /// The answer where nobody has the name.
    pub async fn not_found(&mut self, name: &str) {
        assert_eq!((self.number().await, self.text().await, self.byte().await), (4, name.to_owned(), 0));
    }

    /// The news that somebody looks for this client: who, and where.
    pub async fn wanted(&mut self) -> (String, SocketAddr) {
        assert_eq!(self.number().await, 1);
        (self.text().await, self.addr().await)
    }

    pub async fn number(&mut self) -> u32 {
        timeout(PATIENCE, self.stream.read_u32()).await.expect("a number").unwrap()
    }

    pub async fn is_closed(&mut self) -> bool {
        matches!(timeout(PATIENCE, self.stream.read_u8()).await, Ok(Err(_)))
    }

    async fn byte(&mut self) -> u8 {
        timeout(PATIENCE, self.stream.read_u8()).await.expect("a byte").unwrap()
    }

    async fn text(&mut self) -> String {
        let mut bytes = vec![0; self.number().await as usize];
        timeout(PATIENCE, self.stream.read_exact(&mut bytes)).await.expect("a text").unwrap();
        String::from_utf8(bytes).unwrap()
    }

    async fn addr(&mut self) -> SocketAddr {
        let ip = self.text().await.parse().unwrap();
        SocketAddr::new(ip, timeout(PATIENCE, self.stream.read_u16()).await.expect("a port").unwrap())
    }
}
