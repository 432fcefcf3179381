//! TLS: which certificates are trusted, and what went wrong.

use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};
use streamio_events::webhook::endpoint_url::Host;
use streamio_events::webhook::exchange::{ErrorClass, ExchangeError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::SenderError;

/// A connector that trusts the system's root certificates and those of `extra_roots`, which is PEM or empty.
pub(super) fn connector(extra_roots: &[u8]) -> Result<TlsConnector, SenderError> {
    let mut roots = RootCertStore::empty();
    if !extra_roots.trim_ascii().is_empty() {
        for certificate in CertificateDer::pem_slice_iter(extra_roots) {
            let certificate = certificate.map_err(|_| SenderError::ExtraRoots)?;
            roots.add(certificate).map_err(|_| SenderError::ExtraRoots)?;
        }
        if roots.is_empty() {
            return Err(SenderError::ExtraRoots);
        }
    }
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "root certificates of the system could not be read"
        );
    }
    roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        return Err(SenderError::NoRoots);
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(SenderError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Makes a TLS connection to `host` over `stream`.
pub(super) async fn handshake(
    connector: &TlsConnector,
    host: &Host,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, ExchangeError> {
    let name = match host {
        Host::Address(address) => ServerName::IpAddress((*address).into()),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| {
            ExchangeError::new(
                ErrorClass::UrlRefused,
                "the host's name cannot be in a certificate; use another name",
            )
        })?,
    };
    connector.connect(name, stream).await.map_err(|error| {
        tracing::debug!(server.address = %host, error = &error as &dyn std::error::Error, "no TLS connection");
        let closed = || {
            let message = "the endpoint closed the connection during the TLS handshake; check that the port serves HTTPS";
            ExchangeError::new(ErrorClass::ConnectionReset, message)
        };
        of_tls(&error).map_or_else(closed, failure)
    })
}

/// The TLS library's error in `error`, if there is one.
pub(super) fn of_tls(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Why TLS failed, for people.
pub(super) fn failure(error: &Error) -> ExchangeError {
    use CertificateError as Certificate;
    let message = match error {
        Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => {
            let message = "the certificate is not for the URL's host; install one that names this host";
            return ExchangeError::new(ErrorClass::TlsNameMismatch, message);
        }
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the certificate has expired; renew it"
        }
        Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "the certificate is not valid yet; check the clock of the machine that issued it"
        }
        Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "the certificate's issuer is not trusted; install one of a public certificate authority, with its intermediate certificates"
        }
        Error::InvalidCertificate(_) => {
            "the certificate cannot be accepted; install one of a public certificate authority"
        }
        Error::InvalidMessage(_) => "the port does not serve HTTPS; check the URL's port",
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the endpoint requires a client certificate, which webhooks do not have; verify their signature instead"
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "the endpoint does not serve the URL's host; check the URL and the endpoint's TLS settings"
        }
        _ => "the TLS handshake failed; the endpoint must support TLS 1.2 or 1.3 with a current cipher suite",
    };
    ExchangeError::new(ErrorClass::TlsFailed, message)
}
