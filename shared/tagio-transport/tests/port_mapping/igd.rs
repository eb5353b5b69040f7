//! The router's side of UPnP: an Internet Gateway Device that is found by SSDP and told what to do by SOAP.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::Mutex,
    thread,
    time::Duration,
};

use crate::router::{Malice, PATIENCE, State};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const HTTP_PORT: u16 = 5000;
const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";
/// Far more than any answer of a router.
const ENDLESS_BYTES: usize = 10 << 20;

pub(crate) fn bind_search(lan: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 1900))?;
    socket.join_multicast_v4(&GROUP, &lan)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

pub(crate) fn bind_http(lan: Ipv4Addr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((lan, HTTP_PORT))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

pub(crate) fn serve_search(socket: &UdpSocket, lan: Ipv4Addr, state: &Mutex<State>) {
    let mut buffer = [0; 2000];
    let Ok((length, from)) = socket.recv_from(&mut buffer) else { return };
    let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let is_search = request.starts_with("M-SEARCH") && request.contains("InternetGatewayDevice:1");
    let mut state = state.lock().expect("no thread of the router has panicked");
    state.asked += 1;
    if !state.manners.upnp || !is_search {
        return;
    }
    let answer = format!(
        "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\nLOCATION: http://{lan}:{HTTP_PORT}/root.xml\r\n\
         ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nUSN: uuid:1\r\n\r\n"
    );
    socket.send_to(answer.as_bytes(), from).expect("the client can be reached");
}

pub(crate) fn serve_http(listener: &TcpListener, state: &Mutex<State>) {
    let Ok((stream, from)) = listener.accept() else {
        thread::sleep(PATIENCE);
        return;
    };
    // A client that goes away in the middle is none of the router's business.
    let _ = converse(&stream, from, state);
}

fn converse(mut stream: &TcpStream, from: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        lines.push(line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let body = String::from_utf8_lossy(&body).into_owned();
    let (status, answer, malice) = {
        let mut state = state.lock().expect("no thread of the router has panicked");
        state.asked += 1;
        let (status, answer) = respond(&mut state, from, &path, &body);
        (status, answer, state.manners.malice)
    };
    // The rest is honest: the deeper a client is led, the more it may trip over.
    let place = if malice == Some(Malice::EndlessDescription) { "/root.xml" } else { "/control" };
    let answer = match malice.filter(|_| path == place) {
        Some(Malice::Noise) => "\u{0}<<&&;\u{1}".repeat(100),
        Some(Malice::Short) => answer[..answer.len() / 2].to_owned(),
        Some(Malice::Endless | Malice::EndlessDescription) => {
            format!("<a>{}", "<b>x</b>".repeat(ENDLESS_BYTES / 8))
        }
        Some(Malice::DeepXml) => "<a>".repeat(300_000),
        Some(Malice::Mute) => {
            thread::sleep(Duration::from_secs(1));
            return Ok(());
        }
        Some(Malice::PortZero) | None => answer,
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(answer.as_bytes())
}

fn respond(state: &mut State, from: SocketAddr, path: &str, body: &str) -> (&'static str, String) {
    match path {
        "/root.xml" => ("200 OK", description()),
        "/service.xml" => ("200 OK", service(state.manners.any_port)),
        "/control" => match control(state, from, body) {
            Ok((action, answer)) => (
                "200 OK",
                envelope(&format!("<u:{action}Response xmlns:u=\"{SERVICE}\">{answer}</u:{action}Response>")),
            ),
            Err((code, text)) => (
                "500 Internal Server Error",
                envelope(&format!(
                    "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>\
                 <UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode>\
                 <errorDescription>{text}</errorDescription></UPnPError></detail></s:Fault>"
                )),
            ),
        },
        _ => ("404 Not Found", String::new()),
    }
}

fn control(
    state: &mut State,
    from: SocketAddr,
    body: &str,
) -> Result<(&'static str, String), (u16, &'static str)> {
    let number = |name: &str| {
        argument(body, name).and_then(|text| text.parse::<u32>().ok()).ok_or((402, "Invalid Args"))
    };
    let is_action = |name: &str| body.contains(&format!(":{name} "));
    if is_action("GetExternalIPAddress") {
        let ip = state.manners.external;
        return Ok(("GetExternalIPAddress", format!("<NewExternalIPAddress>{ip}</NewExternalIPAddress>")));
    }
    let port = number("NewExternalPort")? as u16;
    if argument(body, "NewProtocol") != Some("UDP") {
        return Err((402, "Invalid Args"));
    }
    if is_action("DeletePortMapping") {
        let is_removed = state.remove(|mapped, _| mapped == port);
        return if is_removed {
            Ok(("DeletePortMapping", String::new()))
        } else {
            Err((714, "NoSuchEntryInArray"))
        };
    }
    let client: Ipv4Addr = argument(body, "NewInternalClient")
        .and_then(|text| text.parse().ok())
        .ok_or((402, "Invalid Args"))?;
    if client != from.ip() {
        return Err((606, "Action not authorized"));
    }
    let internal = SocketAddr::new(client.into(), number("NewInternalPort")? as u16);
    let lifetime_secs = number("NewLeaseDuration")?;
    if state.manners.only_permanent && lifetime_secs != 0 {
        return Err((725, "OnlyPermanentLeasesSupported"));
    }
    if is_action("AddAnyPortMapping") && state.manners.any_port {
        let (port, _) = state.add(port, internal, lifetime_secs);
        return Ok(("AddAnyPortMapping", format!("<NewReservedPort>{port}</NewReservedPort>")));
    }
    if !is_action("AddPortMapping") {
        return Err((401, "Invalid Action"));
    }
    if state.is_taken(port, internal) {
        return Err((718, "ConflictInMappingEntry"));
    }
    state.enter(port, internal, lifetime_secs);
    Ok(("AddPortMapping", String::new()))
}

fn argument<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let start = body.find(&format!("<{name}>"))? + name.len() + 2;
    let end = body[start..].find("</")?;
    Some(&body[start..start + end])
}

fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>{body}</s:Body></s:Envelope>"
    )
}

fn description() -> String {
    let device = |kind: &str, inner: &str| {
        format!("<device><deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType>{inner}</device>")
    };
    let service = format!(
        "<serviceList><service><serviceType>{SERVICE}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1\
         </serviceId><SCPDURL>/service.xml</SCPDURL><controlURL>/control</controlURL><eventSubURL>/event\
         </eventSubURL></service></serviceList>"
    );
    let connection = format!("<deviceList>{}</deviceList>", device("WANConnectionDevice", &service));
    let wan = format!("<deviceList>{}</deviceList>", device("WANDevice", &connection));
    let root = device("InternetGatewayDevice", &wan);
    format!("<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\">{root}</root>")
}

fn service(any_port: bool) -> String {
    let action = |name: &str, arguments: &[&str]| {
        let arguments: String = arguments
            .iter()
            .map(|name| format!("<argument><name>{name}</name><direction>in</direction></argument>"))
            .collect();
        format!("<action><name>{name}</name><argumentList>{arguments}</argumentList></action>")
    };
    let add = [
        "NewRemoteHost",
        "NewExternalPort",
        "NewProtocol",
        "NewInternalPort",
        "NewInternalClient",
        "NewEnabled",
        "NewPortMappingDescription",
        "NewLeaseDuration",
    ];
    let mut actions = action("GetExternalIPAddress", &[]) + &action("AddPortMapping", &add);
    actions += &action("DeletePortMapping", &add[..3]);
    if any_port {
        actions += &action("AddAnyPortMapping", &add);
    }
    format!(
        "<?xml version=\"1.0\"?><scpd xmlns=\"urn:schemas-upnp-org:service-1-0\"><actionList>{actions}</actionList></scpd>"
    )
}
