//! Client certificates: Go's five policies, and the names that may come in.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use tokio_rustls::rustls;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

type Verifier = Arc<dyn ClientCertVerifier>;

/// What is asked of a client: <https://pkg.go.dev/crypto/tls#ClientAuthType>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    None,
    Request,
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

impl Policy {
    pub(super) fn parse(name: Option<&str>) -> Result<Self, String> {
        Ok(match name {
            None | Some("" | "NoClientCert") => Self::None,
            Some("RequestClientCert") => Self::Request,
            // The second is an older spelling that the toolkit keeps.
            Some("RequireAnyClientCert" | "RequireClientCert") => Self::RequireAny,
            Some("VerifyClientCertIfGiven") => Self::VerifyIfGiven,
            Some("RequireAndVerifyClientCert") => Self::RequireAndVerify,
            Some(other) => return Err(format!("tls_server_config: client_auth_type: unknown value {other:?}")),
        })
    }

    /// The verifier, if clients are asked for a certificate.
    pub(super) fn verifier(
        self,
        roots: Option<RootCertStore>,
        sans: Option<Vec<String>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Verifier>, String> {
        let against = |roots: Option<RootCertStore>| {
            let roots = roots.ok_or("tls_server_config: client_auth_type verifies, so it needs client_ca_file")?;
            Ok::<_, String>(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)))
        };
        let failed = |error| format!("tls_server_config: client_ca_file: {error}");
        let any = |mandatory| Arc::new(Any { mandatory, provider: Arc::clone(provider) });
        let verifier: Verifier = match self {
            Self::None if roots.is_some() => {
                return Err("tls_server_config: client_ca_file without a client_auth_type".to_owned());
            }
            Self::None if sans.is_some() => {
                return Err("tls_server_config: client_allowed_sans without a client_auth_type".to_owned());
            }
            Self::None => return Ok(None),
            Self::Request => any(false),
            Self::RequireAny => any(true),
            Self::VerifyIfGiven => against(roots)?.allow_unauthenticated().build().map_err(failed)?,
            Self::RequireAndVerify => against(roots)?.build().map_err(failed)?,
        };
        Ok(Some(match sans {
            Some(allowed) => Arc::new(Named { inner: verifier, allowed }),
            None => verifier,
        }))
    }
}

/// Any certificate, as long as the client has its key.
#[derive(Debug)]
struct Any {
    mandatory: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Any {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What the inner verifier takes, if it also has one of the allowed names.
#[derive(Debug)]
struct Named {
    inner: Verifier,
    allowed: Vec<String>,
}

impl ClientCertVerifier for Named {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let names = names(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if names.iter().any(|name| self.allowed.contains(name)) {
            return Ok(verified);
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The subject alternative names that Go looks at, written as Go writes them; none if the certificate cannot be read.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let Some((_, SubjectAltName(names))) = certificate.tbs_certificate().get_extension::<SubjectAltName>().ok()? else {
        return Some(Vec::new());
    };
    let names = names.into_iter().filter_map(|name| match name {
        GeneralName::DnsName(name) | GeneralName::Rfc822Name(name) | GeneralName::UniformResourceIdentifier(name) => {
            Some(name.to_string())
        }
        GeneralName::IpAddress(octets) => match octets.as_bytes() {
            four if four.len() == 4 => Some(std::net::Ipv4Addr::from(<[u8; 4]>::try_from(four).ok()?).to_string()),
            long => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(long).ok()?).to_canonical().to_string()),
        },
        _ => None,
    });
    Some(names.collect())
}
