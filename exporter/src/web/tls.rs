//! `tls_server_config` as rustls has it.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::{ALL_KX_GROUPS, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use tokio_rustls::rustls;

use super::client::Policy;
use super::file::Tls;
use super::inputs::Inputs;

/// Go's names of the suites before TLS 1.3 that rustls has, too. Those of TLS 1.3 cannot be chosen, in Go neither.
const SUITES: [(&str, CipherSuite); 6] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

const TLS13_SUITES: [&str; 3] = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/// What comes of the section.
pub(super) struct Built {
    pub(super) config: Arc<ServerConfig>,
    /// Whether nobody gets in without a certificate that was verified.
    pub(super) authenticates: bool,
}

impl Tls {
    /// None without TLS, which is when none of the settings is there that make sense only with it.
    pub(super) fn build(&self, directory: &Path, http2: bool, inputs: &mut Inputs) -> Result<Option<Built>, String> {
        let identity = [&self.cert, &self.key, &self.client_ca, &self.cert_file, &self.key_file, &self.client_ca_file];
        let enabled =
            identity.into_iter().chain([&self.client_auth_type]).any(|setting| given(setting.as_ref()).is_some());
        // The rest is checked anyhow, so that a mistake does not wait for the day on which TLS is switched on.
        let (provider, versions) = self.provider()?;
        if !enabled {
            return Ok(None);
        }
        let mut pem = |file: &Option<String>, inline: &Option<String>, setting: &str| match (
            given(file.as_ref()),
            given(inline.as_ref()),
        ) {
            (Some(file), _) => inputs
                .read(&directory.join(file))
                .map(Some)
                .map_err(|error| format!("tls_server_config: {setting}_file: {error}")),
            (None, inline) => Ok(inline.map(|text| text.as_bytes().to_vec())),
        };
        let missing = |name: &str| format!("tls_server_config: missing one of {name} and {name}_file");
        let certificate = pem(&self.cert_file, &self.cert, "cert")?.ok_or_else(|| missing("cert"))?;
        let key = pem(&self.key_file, &self.key, "key")?.ok_or_else(|| missing("key"))?;
        let roots = pem(&self.client_ca_file, &self.client_ca, "client_ca")?.map(|pem| roots(&pem)).transpose()?;

        let policy = Policy::parse(self.client_auth_type.as_deref())?;
        let verifier = policy.verifier(roots, self.client_allowed_sans.clone(), &provider)?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| format!("tls_server_config: {error}"))?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| format!("tls_server_config: key: {error}"))?;
        let mut config = builder
            .with_single_cert(certificates(&certificate, "cert")?, key)
            .map_err(|error| format!("tls_server_config: certificate and key: {error}"))?;
        config.ignore_client_order = self.prefer_server_cipher_suites.unwrap_or(true);
        config.alpn_protocols =
            if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        Ok(Some(Built { config: Arc::new(config), authenticates: policy == Policy::RequireAndVerify }))
    }

    fn provider(&self) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), String> {
        let mut provider = default_provider();
        if let Some(names) = self.curve_preferences.as_ref().filter(|names| !names.is_empty()) {
            provider.kx_groups = names.iter().map(|name| curve(name)).collect::<Result<_, _>>()?;
        }
        if let Some(names) = self.cipher_suites.as_ref().filter(|names| !names.is_empty()) {
            let chosen: Vec<_> = names.iter().map(|name| suite(name)).collect::<Result<_, _>>()?;
            let all = std::mem::take(&mut provider.cipher_suites);
            let find = |wanted: &CipherSuite| all.iter().find(|suite| suite.suite() == *wanted).copied();
            provider.cipher_suites = all.iter().filter(|suite| suite.tls13().is_some()).copied().collect();
            provider.cipher_suites.extend(chosen.iter().flatten().filter_map(find));
        }
        let lowest = version(self.min_version.as_deref(), "min_version")?.unwrap_or(2);
        let highest = version(self.max_version.as_deref(), "max_version")?.unwrap_or(3);
        let has12 = provider.cipher_suites.iter().any(|suite| matches!(suite, SupportedCipherSuite::Tls12(_)));
        let versions: Vec<_> = [(2, &TLS12), (3, &TLS13)]
            .into_iter()
            .filter(|(number, _)| (lowest..=highest).contains(number) && (*number != 2 || has12))
            .map(|(_, version)| version)
            .collect();
        if versions.is_empty() {
            return Err("tls_server_config: no TLS version is left".to_owned());
        }
        Ok((Arc::new(provider), versions))
    }
}

/// An empty setting is none.
fn given(setting: Option<&String>) -> Option<&str> {
    setting.map(String::as_str).filter(|text| !text.is_empty())
}

fn version(name: Option<&str>, setting: &str) -> Result<Option<u8>, String> {
    match name {
        None => Ok(None),
        Some("TLS12") => Ok(Some(2)),
        Some("TLS13") => Ok(Some(3)),
        Some(old @ ("TLS10" | "TLS11")) => {
            Err(format!("tls_server_config: {setting}: {old} is too old for this server (rustls); use TLS12 or TLS13"))
        }
        Some(other) => Err(format!("tls_server_config: {setting}: unknown TLS version {other:?}")),
    }
}

fn curve(name: &str) -> Result<&'static dyn SupportedKxGroup, String> {
    debug_assert_eq!(ALL_KX_GROUPS.len(), 3, "another curve can be offered");
    match name {
        "X25519" => Ok(kx_group::X25519),
        "CurveP256" => Ok(kx_group::SECP256R1),
        "CurveP384" => Ok(kx_group::SECP384R1),
        "CurveP521" => Err("tls_server_config: curve_preferences: this server (ring) has no CurveP521".to_owned()),
        other => Err(format!("tls_server_config: curve_preferences: unknown curve {other:?}")),
    }
}

/// None for one of TLS 1.3, which cannot be chosen.
fn suite(name: &str) -> Result<Option<CipherSuite>, String> {
    if TLS13_SUITES.contains(&name) {
        return Ok(None);
    }
    let found = SUITES.iter().find(|(known, _)| *known == name).map(|(_, suite)| *suite);
    found.map(Some).ok_or_else(|| {
        let known: Vec<_> = SUITES.iter().map(|(known, _)| *known).collect();
        format!("tls_server_config: cipher_suites: this server (rustls) has no {name:?}, but {}", known.join(", "))
    })
}

fn certificates(pem: &[u8], setting: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("tls_server_config: {setting}: {error}"))?;
    if certificates.is_empty() {
        Err(format!("tls_server_config: {setting}: no certificate in it"))
    } else {
        Ok(certificates)
    }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, "client_ca")? {
        roots.add(certificate).map_err(|error| format!("tls_server_config: client_ca: {error}"))?;
    }
    Ok(roots)
}
