//! `countersign trust add`: an instance by its trusted root, by its repository, or by its certificates
//! and keys.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, pem::PemObject};
use serde_json::{Value, json};

use super::{
    arguments::AddArguments,
    entry, open_store, read_pinned, roots,
    store::{Entry, Source},
    update,
};
use crate::{
    cli::{Outcome, World, exit, settings},
    encoding::sha256,
    sigstore::{
        key::{Hash, KeyKind, PublicKey},
        trusted_root::{Instance, TrustedRootError},
    },
    words::{self, Failure},
};

/// Keep the trusted root of one instance. Nothing is kept of one that cannot be used.
pub(super) fn run(world: &mut World<'_>, arguments: &AddArguments) -> Outcome {
    let entry = entry(&arguments.name)?;
    if entry.exists() && !arguments.replace {
        return Err(Failure::new(
            format!("there is an instance '{}' already", arguments.name),
            format!("look at it with 'countersign trust show {}', or add '--replace'", arguments.name),
        ));
    }
    let scratch = open_store()?.scratch(&arguments.name)?;
    let new = scratch.entry();
    match (&arguments.trusted_root, &arguments.tuf_url, &arguments.tuf_root) {
        (Some(file), ..) => {
            let json = settings::read(&world.directory.join(file), "trusted root")?;
            keep(world, new, &json, Source::File)?;
        }
        (None, Some(url), Some(root)) => {
            let (root, _) = read_pinned(world, root)?;
            new.pin(url, &root)?;
            // Without a first trusted root there is no instance.
            update::update(world, &settings::configuration(world)?, new)?;
        }
        _ if !arguments.fulcio_root.is_empty() => {
            let json = from_files(world, arguments)?;
            keep(world, new, &json, Source::Keys)?;
        }
        _ => {
            return Err(Failure::new(
                "nothing says what to add",
                "name '--trusted-root FILE', '--tuf-url URL --tuf-root FILE', or '--fulcio-root PEM' \
                 with '--rekor-key PEM' and '--ct-key PEM'",
            ));
        }
    }
    scratch.take_place_of(&entry)?;
    let added = entry.accepted()?.map(|accepted| sha256(&[accepted.json.as_bytes()])).unwrap_or_default();
    let name = words::escape(&arguments.name);
    world.say(&format!("{name}: added, sha256:{}\n", hex::encode(added)));
    if roots::counts_where_named(&arguments.name) {
        world.say(&format!(
            "{name}: counts only where it is named: by a policy, 'countersign.instance' or '--instance'\n"
        ));
    }
    Ok(exit::GOOD)
}

fn keep(world: &World<'_>, entry: &Entry, json: &str, source: Source) -> Result<(), Failure> {
    Instance::from_json(&entry.name, json).map_err(|error| unusable(&entry.name, &error))?;
    entry.accept(json, source, world.now)
}

fn unusable(name: &str, error: &TrustedRootError) -> Failure {
    Failure::new(
        format!("the trusted root of '{name}' cannot be used: {error}"),
        "get it again from whoever runs the instance",
    )
}

/// A `trusted_root.json` made of certificate and key files. Nothing in them says since when a key counts,
/// so they count whenever the certificates do.
fn from_files(world: &World<'_>, arguments: &AddArguments) -> Result<String, Failure> {
    let keys = |named: &[String]| {
        named.iter().map(|named| log(world, named)).collect::<Result<Vec<Value>, Failure>>()
    };
    let (tlogs, ctlogs) = (keys(&arguments.rekor_key)?, keys(&arguments.ct_key)?);
    let authorities = chains(world, &arguments.fulcio_root)?;
    let timestamp_authorities = chains(world, &arguments.timestamp_chain)?;
    let build = |authorities: &[Value], timestamp_authorities: &[Value]| {
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": tlogs,
            "certificateAuthorities": authorities,
            "ctlogs": ctlogs,
            "timestampAuthorities": timestamp_authorities,
        });
        format!("{root:#}\n")
    };
    let json = build(&authorities, &timestamp_authorities);
    match Instance::from_json(&arguments.name, &json) {
        Ok(_) => Ok(json),
        Err(error) => Err(unusable(&arguments.name, &error)
            .hint("a chain begins with the certificate that issues leaves and ends with the root")),
    }
}

fn chains(world: &World<'_>, files: &[impl AsRef<Path>]) -> Result<Vec<Value>, Failure> {
    let chain = |file: &Path| -> Result<Value, Failure> {
        let path = world.directory.join(file);
        let pem = read_pem(&path)?;
        let certificates = CertificateDer::pem_slice_iter(&pem)
            .map(|certificate| certificate.map(|der| json!({"rawBytes": STANDARD.encode(der)})))
            .collect::<Result<Vec<Value>, _>>()
            .map_err(|error| not_pem(&path, "certificate", &error.to_string()))?;
        if certificates.is_empty() {
            return Err(not_pem(&path, "certificate", "it holds none"));
        }
        Ok(json!({"uri": "", "certChain": {"certificates": certificates}}))
    };
    files.iter().map(|file| chain(file.as_ref())).collect()
}

/// A log of the key that `[URL=]PEM` names.
fn log(world: &World<'_>, named: &str) -> Result<Value, Failure> {
    let (url, file) = match named.split_once('=') {
        // A path may hold an equals sign; a URL before it shows.
        Some((url, file)) if url.contains("://") => (Some(url), file),
        _ => (None, named),
    };
    let path = world.directory.join(file);
    let pem = read_pem(&path)?;
    let spki = SubjectPublicKeyInfoDer::from_pem_slice(&pem)
        .map_err(|error| not_pem(&path, "public key", &error.to_string()))?;
    let spki: &[u8] = spki.as_ref();
    let kind = PublicKey::from_spki(spki, Hash::Sha256).map(|key| key.kind());
    let kind = kind.map_err(|error| not_pem(&path, "public key", &error.to_string()))?;
    let details = match (kind, spki.len()) {
        (KeyKind::P256, _) => "PKIX_ECDSA_P256_SHA_256",
        (KeyKind::P384, _) => "PKIX_ECDSA_P384_SHA_384",
        (KeyKind::P521, _) => "PKIX_ECDSA_P521_SHA_512",
        (KeyKind::Ed25519, _) => "PKIX_ED25519",
        // The length of a SubjectPublicKeyInfo with the exponent 65537.
        (KeyKind::Rsa, 294) => "PKIX_RSA_PKCS1V15_2048_SHA256",
        (KeyKind::Rsa, 422) => "PKIX_RSA_PKCS1V15_3072_SHA256",
        (KeyKind::Rsa, 550) => "PKIX_RSA_PKCS1V15_4096_SHA256",
        (KeyKind::Rsa, _) => return Err(not_pem(&path, "public key", "it is an RSA key of an odd size")),
    };
    let id = match (kind, url) {
        // Logs with Ed25519 keys name them by C2SP signed-note: name, LF, 0x01 and the raw key, which is
        // what the SubjectPublicKeyInfo ends with (RFC 8410).
        (KeyKind::Ed25519, Some(url)) => {
            let raw = &spki[spki.len().saturating_sub(32)..];
            let origin = origin(url).ok_or_else(|| {
                Failure::new(format!("'{url}' is not a URL"), format!("write it as 'https://LOG={file}'"))
            })?;
            sha256(&[origin.as_bytes(), b"\n\x01", raw])
        }
        (KeyKind::Ed25519, None) => {
            return Err(Failure::new(
                format!("the log of the Ed25519 key '{}' has no name", path.display()),
                format!("name its URL before the file: 'https://LOG={file}'"),
            ));
        }
        _ => sha256(&[spki]),
    };
    Ok(json!({
        "baseUrl": url.unwrap_or(file),
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": STANDARD.encode(spki), "keyDetails": details},
        "logId": {"keyId": STANDARD.encode(id)},
    }))
}

/// The origin of a log's checkpoints: its host.
fn origin(url: &str) -> Option<String> {
    url::Url::parse(url).ok()?.host_str().map(str::to_owned)
}

fn read_pem(path: &Path) -> Result<Vec<u8>, Failure> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return Err(not_pem(path, "PEM text", "it is a folder"));
    }
    settings::read(path, "file").map(String::into_bytes)
}

fn not_pem(path: &Path, what: &str, reason: &str) -> Failure {
    Failure::new(
        format!("'{}' holds no {what} that can be used: {reason}", path.display()),
        "name a file in PEM ('-----BEGIN …')",
    )
}
