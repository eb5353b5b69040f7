//! No subcommand: the window.

use super::Base;

pub(super) fn run(_base: Base) -> anyhow::Result<()> {
    anyhow::bail!("no window yet")
}
