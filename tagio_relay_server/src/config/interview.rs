//! The short set-up that asks a person, for a relay that is started on a terminal without arguments.

use std::{
    env, fmt,
    io::{self, BufRead, IsTerminal, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use toml::Value;

use super::{Args, DEFAULT_BIND};

/// What the stored configuration is called, in the data directory.
const FILE: &str = "relay.toml";
/// Wrong answers to one question after which nobody seems to be there.
const TRIES: usize = 10;

/// What a person has said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answers {
    port: u16,
    public_ip: Option<IpAddr>,
    secret: Option<String>,
    store: bool,
}

/// Asks for what the command line leaves open, where somebody is there to answer: `args` with the answers in them.
pub fn complete(args: Args) -> Result<Args> {
    let is_alone = env::args_os().len() == 1;
    let has_person = io::stdin().is_terminal() && io::stderr().is_terminal();
    let is_wanted = args.interactive || (is_alone && has_person);
    if !is_wanted {
        return Ok(args);
    }
    let port = args.port_from_environment()?.unwrap_or(DEFAULT_BIND.port());
    let answers = ask(&mut io::stdin().lock(), &mut io::stderr().lock(), port)?;
    if answers.store {
        let dir = tagio_process::data_dir(args.data_dir.as_deref())
            .context("cannot use the data directory; choose another with --data-dir")?;
        let path = store(&dir, &answers)?;
        let shown = path.display();
        writeln!(io::stderr(), "Stored. Next time: tagio_relay_server --config {shown}")?;
    }
    Ok(Args {
        bind: vec![answers.bind()],
        public_ip: answers.public_ip.or(args.public_ip),
        auth: answers.secret.or(args.auth),
        ..args
    })
}

impl Answers {
    fn bind(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port)
    }

    /// As a configuration file.
    fn toml(&self) -> String {
        let mut table = toml::Table::new();
        table.insert("bind".to_owned(), Value::Array(vec![Value::String(self.bind().to_string())]));
        if let Some(ip) = self.public_ip {
            table.insert("public-ip".to_owned(), Value::String(ip.to_string()));
        }
        if let Some(secret) = &self.secret {
            table.insert("auth".to_owned(), Value::String(secret.clone()));
        }
        table.to_string()
    }
}

fn ask(input: &mut impl BufRead, output: &mut impl Write, port: u16) -> Result<Answers> {
    writeln!(output, "Setting up a TagIO relay. Enter takes what stands in brackets.")?;
    Ok(Answers {
        port: question(input, output, format_args!("Port, TCP and UDP [{port}]"), |text| match text {
            "" => Some(port),
            text => text.parse().ok(),
        })?,
        public_ip: question(
            input,
            output,
            format_args!("Public IP address [the one that clients dial]"),
            |text| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) },
        )?,
        secret: question(input, output, format_args!("Secret that clients must show [none]"), |text| {
            Some(Some(text.to_owned()).filter(|text| !text.is_empty()))
        })?,
        store: question(
            input,
            output,
            format_args!("Store this as a configuration file, y or n [n]"),
            |text| match text.to_ascii_lowercase().as_str() {
                "y" | "yes" => Some(true),
                "" | "n" | "no" => Some(false),
                _ => None,
            },
        )?,
    })
}

/// Asks until `read` takes the answer.
fn question<T>(
    input: &mut impl BufRead,
    output: &mut impl Write,
    text: fmt::Arguments<'_>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T> {
    for _ in 0..TRIES {
        write!(output, "{text}: ")?;
        output.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            bail!("no answer; use flags instead, see --help");
        }
        match read(line.trim()) {
            Some(answer) => return Ok(answer),
            None => writeln!(output, "That is not what was asked for.")?,
        }
    }
    bail!("no useful answer; use flags instead, see --help")
}

fn store(dir: &Path, answers: &Answers) -> Result<PathBuf> {
    let path = dir.join(FILE);
    // For its owner only: the secret is in it.
    tagio_process::write_private(&path, answers.toml().as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(typed: &str) -> (Result<Answers>, String) {
        let mut shown = Vec::new();
        let answers = ask(&mut typed.as_bytes(), &mut shown, 443);
        (answers, String::from_utf8(shown).expect("it writes text"))
    }

    #[test]
    fn enter_takes_the_defaults() {
        let (answers, shown) = asked("\n\n\n\n");
        let expected = Answers { port: 443, public_ip: None, secret: None, store: false };
        assert_eq!(answers.expect("all is answered"), expected);
        assert!(shown.contains("[443]"));
    }

    #[test]
    fn what_makes_no_sense_is_asked_again_and_the_end_is_the_end() {
        let (answers, shown) = asked("seventy\n70000\n8443\nhere\n192.0.2.1\nopen \"sesame\"\nperhaps\nY\n");
        let answers = answers.expect("all is answered");
        assert_eq!((answers.port, answers.store), (8443, true));
        assert_eq!(shown.matches("That is not what was asked for.").count(), 4);
        assert!(asked("8443\n").0.is_err());
        assert!(asked(&"x\n".repeat(TRIES)).0.is_err());
    }

    #[test]
    fn what_is_stored_is_read_back_whatever_is_in_the_secret() {
        let secret = "a \"quoted\" \\ one".to_owned();
        let answers = Answers {
            port: 8443,
            public_ip: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            secret: Some(secret.clone()),
            store: true,
        };
        let settings: super::super::file::FileSettings =
            toml::from_str(&answers.toml()).expect("it is a configuration");
        assert_eq!(settings.bind, Some(vec![answers.bind()]));
        assert_eq!((settings.public_ip, settings.auth), (answers.public_ip, Some(secret)));
    }
}
