//! What honest clients notice of an attack.

use crate::{
    common::attacks::{Attack, honest_times},
    crowd::quantile,
    relay::Relay,
};

/// Honest clients for each line, one after the other.
const CLIENTS: usize = 400;
/// They come from one address here.
const LIMITS: &str = "handshake-burst = 100000\n";

/// Prints a line for each attack, and one for all at once.
pub(crate) async fn run() {
    println!("{:<40}{:>10}{:>10}{:>12}", "honest handshake and ping, ms", "p50", "p99", "p99, ratio");
    let mut quiet = None;
    let each = Attack::ALL.iter().map(|attack| (format!("{attack:?}"), vec![*attack]));
    let lines = [("nobody else".to_owned(), Vec::new())].into_iter().chain(each);
    for (name, attacks) in lines.chain([("all of these at once".to_owned(), Attack::ALL.to_vec())]) {
        let relay = Relay::start(LIMITS);
        let mut times = honest_times(relay.addr, relay.key, &attacks, CLIENTS).await;
        let p50 = quantile(&mut times, 0.5).as_secs_f64() * 1000.0;
        let p99 = quantile(&mut times, 0.99).as_secs_f64() * 1000.0;
        let ratio = p99 / *quiet.get_or_insert(p99);
        println!("{name:<40}{p50:>10.2}{p99:>10.2}{ratio:>12.2}");
    }
}
