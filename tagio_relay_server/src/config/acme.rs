//! The `acme` table: a certificate from an authority.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde::Deserialize;

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// How to get a certificate from an authority by ACME.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Acme {
    /// Names that lead to this relay's port 443.
    pub domains: Vec<String>,
    /// Where the authority may write to, as `mailto:` addresses.
    #[serde(default)]
    pub contact: Vec<String>,
    /// Address of the authority.
    #[serde(default = "directory")]
    pub directory: String,
    /// Root certificate, PEM, by which a private authority's own server is checked.
    pub directory_ca: Option<PathBuf>,
    /// Whether the authority's terms have been read and agreed to.
    #[serde(default)]
    pub agree_to_terms: bool,
}

impl Acme {
    /// What an authority would refuse anyway.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(!self.domains.is_empty(), "acme.domains is empty: name what leads to this relay");
        ensure!(self.agree_to_terms, "acme.agree-to-terms must be true: read the authority's terms first");
        Ok(())
    }
}

fn directory() -> String {
    DIRECTORY.to_owned()
}
