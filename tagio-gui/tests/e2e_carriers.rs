//! Real programs on networks that let little out: the picture comes all the same, by whatever gets through.
#![cfg(target_os = "linux")]

use std::{fs, path::Path, process::Command, time::Duration};

use tagio_testkit::{
    Canvas, Lab, NatLab, Program,
    lab::LIMIT,
    nat_lab::{Kind, Meeting, Site},
    program::Stream,
    skipped, wait_until,
};

const TINYPROXY: &str = "/usr/bin/tinyproxy";
const PROXY_PORT: u16 = 3128;
const PROXY_LOGIN: &str = "Aladdin:sesame";
/// Enough for a debug build on a busy machine; the goal is 1.5 s, and what it was is printed.
const PICTURE_WITHIN: Duration = Duration::from_secs(12);

/// What the viewer's network lets out.
#[derive(Clone, Copy, Debug)]
enum Exit {
    /// TCP to port 443.
    Port443,
    /// A proxy that makes tunnels to port 443 for those with a login.
    Tunnel,
    /// A proxy that passes requests on, for those with a login.
    Forward,
}

/// tinyproxy on the router of the viewer's home, which forwards nothing itself.
fn start_proxy(lab: &Lab, nets: &NatLab, connect_port: u16) -> (Program, String) {
    let (router, address) = nets.router(Site::A);
    nets.forward_nothing(Site::A);
    let (user, password) = PROXY_LOGIN.split_once(':').expect("a name and a password");
    let config = lab.file(&format!("tinyproxy-{connect_port}.conf"));
    let lines = format!(
        "Listen {address}\nPort {PROXY_PORT}\nTimeout 600\nMaxClients 50\nBasicAuth {user} {password}\n\
         ConnectPort {connect_port}\n"
    );
    fs::write(&config, lines).expect("a file");
    let mut command = Command::new(TINYPROXY);
    command.args(["-d", "-c"]).arg(&config);
    let proxy = Program::start("tinyproxy", &mut router.inside(&command));
    let listening = format!(":{PROXY_PORT} ");
    wait_until("tinyproxy to listen", LIMIT, || {
        router.run(&["ss", "-ltn"]).is_ok_and(|sockets| sockets.contains(&listening))
    });
    (proxy, format!("http://{PROXY_LOGIN}@{address}:{PROXY_PORT}"))
}

/// Tries one exit; the complaint, if there is one.
fn check(lab: &Lab, canvas: &mut Canvas, exit: Exit) -> Result<(), String> {
    let Some(nets) = NatLab::new(Kind::UdpBlocked, Kind::PortCone).map(NatLab::with_distances) else {
        return Ok(());
    };
    let proxy = match exit {
        Exit::Port443 => None,
        Exit::Tunnel => Some(start_proxy(lab, &nets, 443)),
        // No tunnel leads to the relay.
        Exit::Forward => Some(start_proxy(lab, &nets, 444)),
    };
    let mut variables = vec![("RUST_LOG", "tagio_transport=info")];
    if let Some((_, url)) = &proxy {
        variables.extend([("HTTPS_PROXY", url.as_str()), ("HTTP_PROXY", url)]);
    }
    let meeting = Meeting::start(lab, &nets);
    let viewer = meeting.viewer_with(&["--fullscreen"], &variables);
    let complain = |what: &str| {
        println!(
            "{exit:?}, TAGIO_SEED={}: {what}\n{viewer:?}\n{proxy:?}\n{:?}",
            nets.seed, meeting.relay.program
        );
        Err(format!("{exit:?}: {what}"))
    };
    let is_shown = |line: &str| line.starts_with("first-frame ");
    let Some(first_frame) = viewer.time_of(is_shown, PICTURE_WITHIN) else { return complain("no picture") };
    let log = viewer.lines_of(Stream::Err).join("\n");
    if !log.lines().any(|line| line.contains("relay leg by a carrier") && is_expected(exit, line)) {
        return complain(&format!("by another carrier:\n{log}"));
    }
    println!("{exit:?}: picture {first_frame:?} after the program's start");
    // Requests that a proxy forwards carry too little for a whole screen of noise.
    if !matches!(exit, Exit::Forward) {
        canvas.repaint(nets.seed);
        lab.viewer_display.screen().wait_for_picture(canvas.picture(), LIMIT);
    }
    Ok(())
}

/// Whether this line names a carrier that this exit lets out; in a tunnel TCP and TLS are nearly as fast.
fn is_expected(exit: Exit, line: &str) -> bool {
    match exit {
        Exit::Port443 => line.ends_with("carrier=TCP"),
        Exit::Tunnel => line.ends_with("TCP through a proxy") || line.ends_with("TLS through a proxy"),
        Exit::Forward => line.ends_with("HTTP through a proxy"),
    }
}

#[test]
fn a_picture_comes_through_whatever_lets_something_out() {
    let Some(lab) = Lab::new() else { return };
    let mut exits = vec![Exit::Port443];
    if Path::new(TINYPROXY).exists() {
        exits.extend([Exit::Tunnel, Exit::Forward]);
    } else {
        skipped("tinyproxy is not installed");
    }
    let mut canvas = Canvas::cover(lab.host_display.screen(), 71);
    let complaints: Vec<_> =
        exits.into_iter().filter_map(|exit| check(&lab, &mut canvas, exit).err()).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
