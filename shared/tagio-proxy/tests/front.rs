//! The doors, with curl and by hand, before an outlet that dials at once.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    net::SocketAddr,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tagio_proxy::{
    Credentials, Datagrams, DialError, Dialer, Door, Front, FrontError, FrontLimits, Outlet, Peer, Target,
    TargetPolicy, TurnedAway, Users,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{Mutex, OnceCell, mpsc},
    task::{JoinSet, spawn_blocking},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

struct Straight {
    dialer: Dialer,
    users: Users,
    /// For their source's sake.
    turned_away: Arc<AtomicUsize>,
}

/// To the one target that its first datagram names.
struct OneTarget {
    dialer: Dialer,
    socket: OnceCell<(Target, UdpSocket)>,
    sender: mpsc::Sender<(Target, Bytes)>,
    receiver: Mutex<mpsc::Receiver<(Target, Bytes)>>,
}

impl Outlet for Straight {
    type Client = ();
    type Stream = TcpStream;
    type Datagrams = OneTarget;

    fn wants_password(&self) -> bool {
        !self.users.is_empty()
    }

    fn admit(&self, peer: Peer<'_>) -> Option<()> {
        self.users.admits(peer.shown).then_some(())
    }

    fn turned_away(&self, why: TurnedAway) {
        if why == TurnedAway::Source {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn connect(&self, (): &(), target: &Target) -> Result<TcpStream, DialError> {
        self.dialer.connect(target).await
    }

    async fn datagrams(&self, (): &()) -> Result<OneTarget, DialError> {
        let (sender, receiver) = mpsc::channel(16);
        Ok(OneTarget {
            dialer: self.dialer.clone(),
            socket: OnceCell::new(),
            sender,
            receiver: receiver.into(),
        })
    }
}

impl Datagrams for OneTarget {
    fn send(&self, target: &Target, payload: Bytes) {
        let _ = self.sender.try_send((target.clone(), payload));
    }

    async fn receive(&self) -> Option<(Target, Bytes)> {
        let mut queue = self.receiver.lock().await;
        let mut buffer = vec![0; 2048];
        loop {
            let socket = self.socket.get();
            tokio::select! {
                out = queue.recv() => {
                    let (target, payload) = out?;
                    let opened = self.socket.get_or_try_init(|| async {
                        Ok::<_, DialError>((target.clone(), self.dialer.connect_udp(&target).await?))
                    });
                    let (_, socket) = opened.await.ok()?;
                    let _ = socket.send(&payload).await;
                }
                received = async { socket.unwrap().1.recv(&mut buffer).await }, if socket.is_some() => {
                    let payload = Bytes::copy_from_slice(&buffer[..received.ok()?]);
                    return Some((socket.unwrap().0.clone(), payload));
                }
            }
        }
    }
}

/// Serves a door until the task set is dropped.
async fn open(tasks: &mut JoinSet<()>, door: Door, users: &[(&str, &str)], allowed: &[&str]) -> SocketAddr {
    let front = bind("127.0.0.1:0", door, users, allowed, FrontLimits::default()).await.unwrap();
    let addr = front.addr();
    tasks.spawn(front.run(CancellationToken::new()));
    addr
}

async fn bind(
    addr: &str,
    door: Door,
    users: &[(&str, &str)],
    allowed: &[&str],
    limits: FrontLimits,
) -> Result<Front<Straight>, FrontError> {
    bind_counting(addr, door, users, allowed, limits, Arc::default()).await
}

async fn bind_counting(
    addr: &str,
    door: Door,
    users: &[(&str, &str)],
    allowed: &[&str],
    limits: FrontLimits,
    turned_away: Arc<AtomicUsize>,
) -> Result<Front<Straight>, FrontError> {
    let policy = TargetPolicy::new(allowed.iter().map(|net| net.parse().unwrap()).collect());
    let users = users
        .iter()
        .map(|(user, word)| Credentials {
            user: (*user).to_owned(),
            password: word.as_bytes().to_vec().into(),
        })
        .collect();
    let outlet = Straight { dialer: Dialer::new(policy, Duration::from_secs(10)), users, turned_away };
    Front::bind(addr.parse().unwrap(), door, Arc::new(outlet), limits).await
}

/// Answers every request with what was asked for and the header that says whom.
async fn web(tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut visits = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            visits.spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let reply =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", head.len());
                stream.write_all(reply.as_bytes()).await?;
                stream.write_all(&head).await
            });
        }
    });
    addr
}

async fn curl(arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--noproxy", ""]).args(arguments);
    spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn curl_comes_through_every_door() {
    let mut tasks = JoinSet::new();
    let web = web(&mut tasks).await;
    let socks = open(&mut tasks, Door::Socks5, &[], &["127.0.0.0/8"]).await;
    let http = open(&mut tasks, Door::Http, &[], &["127.0.0.0/8"]).await;
    let url = format!("http://localhost:{}/a?b=c", web.port());
    for arguments in [
        ["--proxy", &format!("socks5h://{socks}"), url.as_str(), "-4"],
        ["--proxy", &format!("socks5://{socks}"), &url, "-4"],
        ["--proxy", &format!("http://{http}"), &url, "--proxytunnel"],
        ["--proxy", &format!("http://{http}"), &url, "-HProxy-Connection: secret"],
    ] {
        let seen = text(&curl(&arguments).await);
        assert!(seen.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{arguments:?}: {seen}");
        let seen = seen.to_lowercase();
        assert!(seen.contains(&format!("host: localhost:{}\r\n", web.port())), "{arguments:?}: {seen}");
        assert!(!seen.contains("proxy-connection"), "{arguments:?}: {seen}");
    }
}

#[tokio::test]
async fn a_door_with_users_wants_the_right_one() {
    let mut tasks = JoinSet::new();
    let web = web(&mut tasks).await;
    let users = [("anna", "geheim"), ("bert", "")];
    let socks = open(&mut tasks, Door::Socks5, &users, &["127.0.0.0/8"]).await;
    let http = open(&mut tasks, Door::Http, &users, &["127.0.0.0/8"]).await;
    let url = format!("http://{web}/");
    for proxy in [format!("socks5h://{socks}"), format!("http://{http}")] {
        let good = curl(&["--proxy", &proxy, "--proxy-user", "anna:geheim", &url]).await;
        assert!(good.status.success(), "{proxy}: {}", text(&good));
        assert!(!text(&good).to_lowercase().contains("authorization"), "{proxy}: {}", text(&good));
        for wrong in [&["--proxy-user", "anna:x"][..], &["--proxy-user", "bert:geheim"], &["--proxytunnel"]] {
            let refused = curl(&[&["--proxy", &proxy, "--fail", &url][..], wrong].concat()).await;
            assert!(!refused.status.success(), "{proxy} {wrong:?}: {}", text(&refused));
        }
    }
}

#[tokio::test]
async fn refusals_say_why() {
    let mut tasks = JoinSet::new();
    let web = web(&mut tasks).await;
    let http = open(&mut tasks, Door::Http, &[], &[]).await;
    let socks = open(&mut tasks, Door::Socks5, &[], &[]).await;
    let private = format!("http://127.0.0.1:{}/", web.port());
    let answer = text(&curl(&["--proxy", &format!("http://{http}"), "-w", "%{http_code}", &private]).await);
    assert!(answer.contains("not allowed") && answer.ends_with("403"), "{answer}");
    let unknown = "http://no-such-name.invalid/";
    let answer = text(&curl(&["--proxy", &format!("http://{http}"), "-w", "%{http_code}", unknown]).await);
    assert!(answer.ends_with("502"), "{answer}");
    let refused = curl(&["--proxy", &format!("socks5h://{socks}"), &private]).await;
    assert!(text(&refused).contains("(2)"), "the code of RFC 1928: {}", text(&refused));
    // To the proxy itself.
    let answer = text(&curl(&["-w", "%{http_code}", &format!("http://{http}/")]).await);
    assert!(answer.ends_with("400"), "{answer}");
}

#[tokio::test]
async fn a_door_that_others_can_reach_wants_a_password() {
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        for door in [Door::Socks5, Door::Http] {
            let refused = bind(addr, door, &[], &[], FrontLimits::default()).await.err().unwrap();
            assert!(matches!(refused, FrontError::NeedsPassword(_)), "{addr}: {refused}");
        }
    }
    bind("0.0.0.0:0", Door::Socks5, &[("anna", "geheim")], &[], FrontLimits::default()).await.unwrap();
}

#[tokio::test]
async fn who_has_said_all_still_hears_all() {
    let mut tasks = JoinSet::new();
    let socks = open(&mut tasks, Door::Socks5, &[], &["127.0.0.0/8"]).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(socks).await.unwrap();
    let mut opening = vec![5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1];
    opening.extend_from_slice(&target.local_addr().unwrap().port().to_be_bytes());
    // Data comes at once, before any answer.
    opening.extend_from_slice(b"question");
    client.write_all(&opening).await.unwrap();
    client.shutdown().await.unwrap();
    let (mut served, _) = timeout(PATIENCE, target.accept()).await.unwrap().unwrap();
    let mut question = Vec::new();
    timeout(PATIENCE, served.read_to_end(&mut question)).await.unwrap().unwrap();
    assert_eq!(question, b"question");
    served.write_all(&vec![7; 1 << 20]).await.unwrap();
    drop(served);
    let mut answer = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer.len(), 2 + 10 + (1 << 20));
    assert_eq!(&answer[..4], [5, 0, 5, 0]);
}

#[tokio::test]
async fn datagrams_go_both_ways_while_their_connection_stands() {
    let mut tasks = JoinSet::new();
    let socks = open(&mut tasks, Door::Socks5, &[], &["127.0.0.0/8"]).await;
    let echo = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut control = TcpStream::connect(socks).await.unwrap();
    control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let mut reply = [0; 12];
    timeout(PATIENCE, control.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(&reply[..6], [5, 0, 5, 0, 0, 1]);
    let relay = SocketAddr::from((
        [reply[6], reply[7], reply[8], reply[9]],
        u16::from_be_bytes([reply[10], reply[11]]),
    ));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut question = vec![0, 0, 0, 3, 9];
    question.extend_from_slice(b"localhost");
    question.extend_from_slice(&echo.local_addr().unwrap().port().to_be_bytes());
    let head = question.len();
    question.extend_from_slice(b"ping");
    // A fragment, and noise: dropped.
    client.send_to(&[0, 0, 1, 1, 127, 0, 0, 1, 0, 9, 1], relay).await.unwrap();
    client.send_to(&[0; 3], relay).await.unwrap();
    client.send_to(&question, relay).await.unwrap();
    let mut buffer = [0; 2048];
    let (len, from) = timeout(PATIENCE, echo.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..len], b"ping");
    echo.send_to(b"pong", from).await.unwrap();
    let (len, _) = timeout(PATIENCE, client.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..head], &question[..head], "named as it was asked for");
    assert_eq!(&buffer[head..len], b"pong");
    // The socket is closed with the connection; the system says so to the next datagram, or nobody answers.
    drop(control);
    let gone = async {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(relay).await.unwrap();
        while client.send(&question).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn silence_and_nonsense_end_soon() {
    let mut tasks = JoinSet::new();
    let limits = FrontLimits { opening: Duration::from_millis(200), ..FrontLimits::default() };
    for door in [Door::Socks5, Door::Http] {
        let front = bind("127.0.0.1:0", door, &[], &[], limits.clone()).await.unwrap();
        let addr = front.addr();
        tasks.spawn(front.run(CancellationToken::new()));
        for opening in [&b""[..], b"\x05", b"\x05\xff\x00", b"\x04\x01", b"GET http://a", &[0; 4096]] {
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.write_all(opening).await.unwrap();
            let mut answer = Vec::new();
            // A reset is an end as well.
            let _ = timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("it ends");
        }
    }
}

#[tokio::test]
async fn one_connection_too_many_is_closed() {
    let limits = FrontLimits { connections_max: 2, ..FrontLimits::default() };
    let front = bind("127.0.0.1:0", Door::Socks5, &[], &[], limits).await.unwrap();
    let addr = front.addr();
    let mut tasks = JoinSet::new();
    tasks.spawn(front.run(CancellationToken::new()));
    let mut places = Vec::new();
    for _ in 0..2 {
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(&[5, 1, 0]).await.unwrap();
        let mut answer = [0; 2];
        timeout(PATIENCE, client.read_exact(&mut answer)).await.unwrap().unwrap();
        places.push(client);
    }
    let mut third = TcpStream::connect(addr).await.unwrap();
    let read = timeout(PATIENCE, third.read(&mut [0; 2])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

/// Whether a connection is closed, or reset, before anything is said.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = timeout(PATIENCE, stream.read(&mut [0; 2])).await.expect("an end");
    matches!(read, Ok(0) | Err(_))
}

#[tokio::test]
async fn one_source_does_not_fill_a_door_before_it_has_shown_a_password() {
    let mut tasks = JoinSet::new();
    let web = web(&mut tasks).await;
    for (door, scheme) in [(Door::Socks5, "socks5h"), (Door::Http, "http")] {
        let limits = FrontLimits { openings_per_source_max: 2, ..FrontLimits::default() };
        let turned_away = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&turned_away);
        let front =
            bind_counting("127.0.0.1:0", door, &[("anna", "geheim")], &["127.0.0.0/8"], limits, counted);
        let front = front.await.unwrap();
        let addr = front.addr();
        tasks.spawn(front.run(CancellationToken::new()));
        let first = TcpStream::connect(addr).await.unwrap();
        // Somebody who was let in takes no place.
        let fetch = || async {
            let proxy = format!("{scheme}://anna:geheim@{addr}");
            text(&curl(&["--proxy", &proxy, &format!("http://{web}/")]).await)
        };
        for _ in 0..4 {
            assert!(fetch().await.starts_with("GET "), "{door:?}");
        }
        let second = TcpStream::connect(addr).await.unwrap();
        let mut third = TcpStream::connect(addr).await.unwrap();
        assert!(is_closed(&mut third).await);
        assert_eq!(turned_away.load(Ordering::Relaxed), 1);
        drop((first, second));
        let again = async { while !fetch().await.starts_with("GET ") {} };
        timeout(PATIENCE, again).await.expect("the places are free again");
    }
}
