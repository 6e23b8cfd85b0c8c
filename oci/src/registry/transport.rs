//! Connections: certificates, names, proxies.

use super::Settings;
use crate::Error;
use hickory_resolver::TokioResolver;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{NoProxy, Proxy};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Never through a proxy.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

pub(super) fn client(settings: &Settings) -> Result<reqwest::Client, Error> {
    let failed =
        |error: reqwest::Error| Error::Settings(super::exchange::chain(&error.without_url()));
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("bpfman/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls(settings)?)
        .dns_resolver(Arc::new(Names))
        // Redirects are followed one by one, each looked at.
        .redirect(Policy::none())
        .referer(false)
        .http1_only()
        // What stands in the environment of a service is not configuration.
        .no_proxy()
        .connect_timeout(settings.patience.connect)
        .read_timeout(settings.patience.silence);
    if let Some(proxy) = &settings.https_proxy {
        let except = match &settings.no_proxy {
            Some(hosts) => format!("{LOOPBACK},{hosts}"),
            None => LOOPBACK.to_owned(),
        };
        let proxy = Proxy::https(proxy).map_err(failed)?;
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&except)));
    }
    builder.build().map_err(failed)
}

/// One provider of cryptography, named here: none is installed for the whole process.
fn tls(settings: &Settings) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    // Certificates of the system that nobody can read are no reason to refuse those that can be.
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::debug!(%error, "certificate authority of the system");
    }
    roots.add_parsable_certificates(system.certs);
    for certificate in CertificateDer::pem_slice_iter(&settings.authorities) {
        certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()))
            .map_err(|error| Error::Settings(format!("certificate authority: {error}")))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Settings(format!("TLS: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Names are looked up as /etc/hosts and /etc/resolv.conf say, without glibc.
#[derive(Debug)]
struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        Box::pin(async move {
            if name == "localhost" {
                let addresses = [
                    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                    SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
                ];
                return Ok(Box::new(addresses.into_iter()) as Addrs);
            }
            // Read anew each time: the files change under a service that runs for months.
            let resolver = TokioResolver::builder_tokio()
                .and_then(|builder| builder.build())
                .map_err(|error| format!("/etc/resolv.conf: {error}"))?;
            let found = resolver.lookup_ip(name.as_str()).await?;
            let addresses: Vec<SocketAddr> =
                found.iter().map(|address| (address, 0).into()).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Settings)) -> Result<reqwest::Client, Error> {
        let mut settings = Settings::default();
        change(&mut settings);
        client(&settings)
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        assert!(with(|_| ()).is_ok());
        assert!(
            with(|settings| settings.https_proxy = Some("http://proxy.example:3128".into()))
                .is_ok()
        );
        assert!(with(|settings| settings.https_proxy = Some("http://".into())).is_err());
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(with(|settings| settings.authorities = broken.to_vec()).is_err());
    }
}
