//! A certificate from an authority by ACME (RFC 8555), proven over the relay's own port (TLS-ALPN-01, RFC 8737), and
//! renewed in time.

use std::{
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{crypto::ring, pki_types::PrivateKeyDer, sign::CertifiedKey};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tracing::{error, info};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{Tls, files};
use crate::{config::Acme, shared::Shared};

/// The account in the data directory.
const FILE: &str = "acme.json";
/// Wait after the first failure; it doubles with each further one. Authorities allow five failures an hour.
const RETRY_MIN: Duration = Duration::from_secs(15 * 60);
const RETRY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Between two looks whether it is time: clocks jump.
const LOOK: Duration = Duration::from_secs(3600);
/// Time for a whole order.
const ORDER: Duration = Duration::from_secs(300);

/// What was agreed with an authority, and for which names its certificate is.
#[derive(Serialize, Deserialize)]
struct Kept {
    directory: String,
    /// None before the first certificate.
    domains: Vec<String>,
    /// The account's address and key.
    account: serde_json::Value,
}

/// Gets a certificate whenever one is needed. Ends never.
pub(crate) async fn run(shared: Arc<Shared>, acme: Acme) {
    let mut retry = RETRY_MIN;
    loop {
        let pause = match renew_if_due(&shared.tls, &acme, &shared.data_dir).await {
            Ok(()) => {
                retry = RETRY_MIN;
                LOOK
            }
            Err(error) => {
                error!(
                    "no certificate from {}, next attempt in {} min: {error:#}",
                    acme.directory,
                    retry.as_secs() / 60
                );
                let pause = retry;
                retry = (retry * 2).min(RETRY_MAX);
                pause
            }
        };
        sleep(pause).await;
    }
}

async fn renew_if_due(tls: &Tls, acme: &Acme, data_dir: &Path) -> Result<()> {
    let kept = kept(data_dir)?.filter(|kept| kept.directory == acme.directory);
    let same_names = kept.as_ref().is_some_and(|kept| kept.domains == acme.domains);
    if same_names && !files::from_authority(data_dir)?.is_none_or(|certificate| is_due(&certificate)) {
        return Ok(());
    }
    let ordered = timeout(ORDER, order(tls, acme, data_dir, kept)).await;
    for domain in &acme.domains {
        tls.challenge(domain, None);
    }
    let certificate = ordered.context("the authority takes too long")??;
    tls.show(certificate);
    info!("a certificate for {} from {}", acme.domains.join(", "), acme.directory);
    Ok(())
}

/// Whether two thirds of its time are over, or all that is known of it is nothing.
fn is_due(certificate: &CertifiedKey) -> bool {
    let Some(Ok((_, leaf))) = certificate.cert.first().map(|leaf| X509Certificate::from_der(leaf)) else {
        return true;
    };
    let (from, until) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    i64::try_from(now).map_or(true, |now| now >= from + (until - from) / 3 * 2)
}

async fn order(tls: &Tls, acme: &Acme, data_dir: &Path, kept: Option<Kept>) -> Result<CertifiedKey> {
    let (account, kept) = account(acme, data_dir, kept).await?;
    // Finds out now whether a certificate can be kept: authorities give only a few for a name.
    kept.write(data_dir)?;
    let names: Vec<_> = acme.domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await.context("no order")?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
        let mut challenge = challenge.context("the authority does not offer TLS-ALPN-01")?;
        let Identifier::Dns(name) = challenge.identifier().identifier else {
            anyhow::bail!("the authority asks for something that is no name");
        };
        tls.challenge(name, Some(answer(name, challenge.key_authorization().digest().as_ref())?));
        challenge.set_ready().await?;
    }
    let status = order.poll_ready(&RetryPolicy::default()).await?;
    ensure!(
        status == OrderStatus::Ready,
        "the authority did not find this relay behind {} (port 443 must lead here)",
        acme.domains.join(", ")
    );
    let key = Zeroizing::new(order.finalize().await?);
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    let certificate = files::keep_from_authority(data_dir, &chain, &key)?;
    Kept { domains: acme.domains.clone(), ..kept }.write(data_dir)?;
    Ok(certificate)
}

/// What only who answers for `name` can show (RFC 8737, 3).
fn answer(name: &str, digest: &[u8]) -> Result<CertifiedKey> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let private = ring::default_provider().key_provider.load_private_key(private)?;
    // Not by `from_der`, which refuses a critical extension that it does not know: this one is for the authority.
    Ok(CertifiedKey::new(vec![cert.into()], private))
}

/// The account at the authority; a new one if there is none yet.
async fn account(acme: &Acme, data_dir: &Path, kept: Option<Kept>) -> Result<(Account, Kept)> {
    let builder = match &acme.directory_ca {
        Some(root) => Account::builder_with_root(root),
        None => Account::builder(),
    }?;
    if let Some(kept) = kept {
        let credentials = serde_json::from_value(kept.account.clone())?;
        return Ok((builder.from_credentials(credentials).await?, kept));
    }
    let contact: Vec<_> = acme.contact.iter().map(String::as_str).collect();
    let wanted = NewAccount {
        contact: &contact,
        terms_of_service_agreed: acme.agree_to_terms,
        only_return_existing: false,
    };
    let (account, credentials) =
        builder.create(&wanted, acme.directory.clone(), None).await.context("no account")?;
    let account_value = serde_json::to_value(&credentials)?;
    let kept = Kept { directory: acme.directory.clone(), domains: Vec::new(), account: account_value };
    kept.write(data_dir)?;
    Ok((account, kept))
}

impl Kept {
    fn write(&self, data_dir: &Path) -> Result<()> {
        let text = Zeroizing::new(serde_json::to_vec(self)?);
        let path = data_dir.join(FILE);
        tagio_process::write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn kept(data_dir: &Path) -> Result<Option<Kept>> {
    let path = data_dir.join(FILE);
    match fs::read(&path).map(Zeroizing::new) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .with_context(|| format!("{} is broken; remove it to get a new account", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
