//! The secrets both sides need: the APNs signing key, the Google service account, the CA and the server certificate.
//!
//! Owns the credentials folder. Everything is generated, nothing is a real account. Files are written with mode
//! 0600 and replaced by rename, so that a reader never sees half a file; a crash while writing leaves the old one.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
};
use serde::{Deserialize, Serialize};

use super::error::SimulatorError;

/// File names inside the credentials folder.
pub mod file {
    /// Own certificate authority, for clients to trust.
    pub const CA: &str = "ca.pem";
    /// Server certificate for 127.0.0.1, ::1 and localhost.
    pub const SERVER_CERTIFICATE: &str = "server.pem";
    /// Key of the server certificate.
    pub const SERVER_KEY: &str = "server-key.pem";
    /// APNs signing key (EC P-256, PKCS#8), as Apple's `.p8` download.
    pub const APNS_KEY: &str = "AuthKey.p8";
    /// Identifiers that go with the signing key.
    pub const APNS_ACCOUNT: &str = "apns.json";
    /// Google's service account file.
    pub const SERVICE_ACCOUNT: &str = "service-account.json";
}

/// The identifiers of an APNs account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApnsAccount {
    /// `kid` of the provider token: the key's identifier, 10 characters.
    pub key_id: String,
    /// `iss` of the provider token: the team's identifier, 10 characters.
    pub team_id: String,
    /// The app's bundle id, expected in `apns-topic`.
    pub topic: String,
}

/// A service account in the format Google's console downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// Always `service_account`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Project whose messages may be sent.
    pub project_id: String,
    /// `kid` of the assertion.
    pub private_key_id: String,
    /// RSA key, PKCS#8 PEM.
    pub private_key: String,
    /// `iss` of the assertion.
    pub client_email: String,
    /// Numeric account id; not used in the exchange.
    pub client_id: String,
    /// Authorisation page; not used in the exchange.
    pub auth_uri: String,
    /// Where the assertion is exchanged, and its `aud`.
    pub token_uri: String,
}

/// All secrets of one simulated world.
#[derive(Clone)]
pub struct Credentials {
    /// CA certificate, PEM.
    pub ca_pem: String,
    /// Server certificate, PEM.
    pub server_pem: String,
    /// Key of the server certificate, PKCS#8 PEM.
    pub server_key_pem: String,
    /// APNs signing key, PKCS#8 PEM.
    pub apns_key_pem: String,
    /// APNs identifiers.
    pub apns: ApnsAccount,
    /// Google service account.
    pub service_account: ServiceAccount,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("apns", &self.apns)
            .field("project_id", &self.service_account.project_id)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Makes a new set: CA and server certificate, EC P-256 key, RSA-2048 service account.
    ///
    /// The service account's `token_uri` is a placeholder until an FCM simulator has bound its address.
    ///
    /// # Errors
    /// [`SimulatorError::Credentials`] when the crypto library refuses.
    pub fn generate() -> Result<Self, SimulatorError> {
        Self::generate_inner().map_err(|error| SimulatorError::Credentials(error.to_string()))
    }

    fn generate_inner() -> Result<Self, rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::<String>::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name.push(DnType::CommonName, "Araldo simulators CA");
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let server_key = KeyPair::generate()?;
        let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let mut server = CertificateParams::new(names)?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        server.distinguished_name.push(DnType::CommonName, "Araldo simulators");
        let server_pem = server.signed_by(&server_key, &issuer)?.pem();

        let apns_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let account_key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        Ok(Self {
            ca_pem,
            server_pem,
            server_key_pem: server_key.serialize_pem(),
            apns_key_pem: apns_key.serialize_pem(),
            apns: ApnsAccount {
                key_id: "ABC123DEFG".to_owned(),
                team_id: "DEF123GHIJ".to_owned(),
                topic: "it.example.app".to_owned(),
            },
            service_account: ServiceAccount {
                kind: "service_account".to_owned(),
                project_id: "araldo-demo".to_owned(),
                private_key_id: "0123456789abcdef0123456789abcdef01234567".to_owned(),
                private_key: account_key.serialize_pem(),
                client_email: "araldo@araldo-demo.iam.example.com".to_owned(),
                client_id: "100000000000000000001".to_owned(),
                auth_uri: "https://accounts.example.com/o/oauth2/auth".to_owned(),
                token_uri: "https://127.0.0.1/token".to_owned(),
            },
        })
    }

    /// Writes every file into `folder` (created with mode 0700 when missing), each with mode 0600.
    ///
    /// # Errors
    /// [`SimulatorError::File`] naming the file that could not be written.
    pub fn write(&self, folder: &Path) -> Result<(), SimulatorError> {
        create_private_folder(folder)?;
        write_private(&folder.join(file::CA), self.ca_pem.as_bytes())?;
        write_private(&folder.join(file::SERVER_CERTIFICATE), self.server_pem.as_bytes())?;
        write_private(&folder.join(file::SERVER_KEY), self.server_key_pem.as_bytes())?;
        write_private(&folder.join(file::APNS_KEY), self.apns_key_pem.as_bytes())?;
        write_json(&folder.join(file::APNS_ACCOUNT), &self.apns)?;
        self.write_service_account(folder)
    }

    /// Writes only the service account, as done once the token endpoint's address is known.
    ///
    /// # Errors
    /// [`SimulatorError::File`] when the file cannot be written.
    pub fn write_service_account(&self, folder: &Path) -> Result<(), SimulatorError> {
        write_json(&folder.join(file::SERVICE_ACCOUNT), &self.service_account)
    }

    /// Reads a folder written before.
    ///
    /// # Errors
    /// [`SimulatorError::File`] for a missing file, [`SimulatorError::Content`] for a broken one.
    pub fn load(folder: &Path) -> Result<Self, SimulatorError> {
        Ok(Self {
            ca_pem: read(&folder.join(file::CA))?,
            server_pem: read(&folder.join(file::SERVER_CERTIFICATE))?,
            server_key_pem: read(&folder.join(file::SERVER_KEY))?,
            apns_key_pem: read(&folder.join(file::APNS_KEY))?,
            apns: read_json(&folder.join(file::APNS_ACCOUNT))?,
            service_account: read_json(&folder.join(file::SERVICE_ACCOUNT))?,
        })
    }

    /// Reads `folder` if it holds credentials, else generates and writes them.
    ///
    /// Two processes starting at once on an empty folder would each write their own: let one prepare it first.
    ///
    /// # Errors
    /// As [`Credentials::load`], [`Credentials::generate`] and [`Credentials::write`].
    pub fn load_or_generate(folder: &Path) -> Result<Self, SimulatorError> {
        if folder.join(file::SERVICE_ACCOUNT).exists() {
            return Self::load(folder);
        }
        let credentials = Self::generate()?;
        credentials.write(folder)?;
        Ok(credentials)
    }

    /// Public half of the APNs key, SPKI PEM.
    ///
    /// # Errors
    /// [`SimulatorError::Credentials`] when the private key does not parse.
    pub fn apns_public_pem(&self) -> Result<String, SimulatorError> {
        public_pem(&self.apns_key_pem)
    }

    /// Public half of the service account's key, SPKI PEM.
    ///
    /// # Errors
    /// [`SimulatorError::Credentials`] when the private key does not parse.
    pub fn service_account_public_pem(&self) -> Result<String, SimulatorError> {
        public_pem(&self.service_account.private_key)
    }
}

fn public_pem(private_pem: &str) -> Result<String, SimulatorError> {
    KeyPair::from_pem(private_pem)
        .map(|key| key.public_key_pem())
        .map_err(|error| SimulatorError::Credentials(format!("private key: {error}")))
}

pub(crate) fn create_private_folder(folder: &Path) -> Result<(), SimulatorError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| file_error(folder, source))
}

pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), SimulatorError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| file_error(path, source))
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), SimulatorError> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| SimulatorError::Content {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    write_private(path, &text)
}

fn read(path: &Path) -> Result<String, SimulatorError> {
    fs::read_to_string(path).map_err(|source| file_error(path, source))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, SimulatorError> {
    serde_json::from_str(&read(path)?).map_err(|error| SimulatorError::Content {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

pub(crate) fn file_error(path: &Path, source: std::io::Error) -> SimulatorError {
    SimulatorError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_written_is_read_back_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        let made = Credentials::load_or_generate(&path).unwrap();
        let read = Credentials::load_or_generate(&path).unwrap();
        assert_eq!(made.apns_key_pem, read.apns_key_pem);
        assert_eq!(made.service_account, read.service_account);
        assert!(made.apns_key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(made.service_account_public_pem().unwrap().contains("PUBLIC KEY"));
        for entry in fs::read_dir(&path).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        Credentials::generate().unwrap().write(folder.path()).unwrap();
        fs::write(folder.path().join(file::APNS_ACCOUNT), "{").unwrap();
        let error = Credentials::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("apns.json"), "{error}");
    }
}
