//! Certificates and their keys on disk, in PEM form.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use crate::config::CertificateSource;

/// Names of files in the data directory: a certificate's chain and its key.
const SELF_SIGNED: (&str, &str) = ("tls-cert.pem", "tls-key.pem");
const FROM_AUTHORITY: (&str, &str) = ("acme-cert.pem", "acme-key.pem");
/// The only name that the self-signed certificate has: nobody can check it anyway.
const SELF_SIGNED_NAME: &str = "tagio-relay";

/// What `source` gives now.
pub(super) fn load(source: &CertificateSource, data_dir: &Path) -> Result<CertifiedKey> {
    match source {
        CertificateSource::Files { cert, key } => read(cert, key),
        CertificateSource::SelfSigned => self_signed(data_dir),
        // Until there is one.
        CertificateSource::Acme(_) => match from_authority(data_dir)? {
            Some(certificate) => Ok(certificate),
            None => self_signed(data_dir),
        },
    }
}

/// The certificate that an authority gave, if one has.
pub(super) fn from_authority(data_dir: &Path) -> Result<Option<CertifiedKey>> {
    existing(data_dir, FROM_AUTHORITY)
}

/// Keeps a certificate from an authority.
pub(super) fn keep_from_authority(data_dir: &Path, chain: &str, key: &str) -> Result<CertifiedKey> {
    // Read before it is kept: what cannot be used replaces nothing.
    let certificate = parse(chain.as_bytes(), key.as_bytes(), "the authority's certificate", "our key")?;
    write(data_dir, FROM_AUTHORITY, chain, key)?;
    Ok(certificate)
}

fn self_signed(data_dir: &Path) -> Result<CertifiedKey> {
    if let Some(certificate) = existing(data_dir, SELF_SIGNED)? {
        return Ok(certificate);
    }
    let made = rcgen::generate_simple_self_signed([SELF_SIGNED_NAME.to_owned()])
        .context("cannot make a certificate")?;
    let key = Zeroizing::new(made.signing_key.serialize_pem());
    write(data_dir, SELF_SIGNED, &made.cert.pem(), &key)?;
    existing(data_dir, SELF_SIGNED)?.context("the new certificate is gone again")
}

fn existing(data_dir: &Path, (cert, key): (&str, &str)) -> Result<Option<CertifiedKey>> {
    let (cert, key) = (data_dir.join(cert), data_dir.join(key));
    let exists = |path: &Path| path.try_exists().with_context(|| format!("cannot read {}", path.display()));
    if exists(&cert)? && exists(&key)? { read(&cert, &key).map(Some) } else { Ok(None) }
}

/// The chain in `cert`, leaf first, and the key that belongs to it.
fn read(cert: &PathBuf, key: &PathBuf) -> Result<CertifiedKey> {
    let (cert_shown, key_shown) = (cert.display().to_string(), key.display().to_string());
    let chain = fs::read(cert).with_context(|| format!("cannot read the certificate {cert_shown}"))?;
    let private = fs::read(key).with_context(|| format!("cannot read the key {key_shown}"))?;
    parse(&chain, &Zeroizing::new(private), &cert_shown, &key_shown)
}

fn parse(cert: &[u8], key: &[u8], cert_shown: &str, key_shown: &str) -> Result<CertifiedKey> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .with_context(|| format!("{cert_shown} is no certificate in PEM form"))?;
    if chain.is_empty() {
        bail!("{cert_shown} has no certificate in PEM form");
    }
    let private = PrivateKeyDer::from_pem_slice(key)
        .with_context(|| format!("{key_shown} has no private key in PEM form"))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider())
        .with_context(|| format!("the key in {key_shown} does not go with the certificate in {cert_shown}"))
}

/// The key first: a certificate is there only together with it.
fn write(data_dir: &Path, (cert, key): (&str, &str), chain: &str, private: &str) -> Result<()> {
    for (name, text) in [(key, private), (cert, chain)] {
        let path = data_dir.join(name);
        tagio_process::write_private(&path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
