//! What an SSH signature says of itself.

use super::line;
use crate::{
    signature::ssh::{self, Certificate, SshSignature},
    words,
};

/// The fields of the signature in `armor`, none of them proven.
pub(super) fn claims(text: &mut String, armor: &[u8]) -> Result<(), String> {
    line(text, "  kind", &"SSH");
    let bytes = ssh::decode(armor).map_err(|error| error.to_string())?;
    let signature = SshSignature::parse(&bytes).map_err(|error| error.to_string())?;
    line(text, "  key", &format!("{} {}", signature.key_type(), signature.key.fingerprint()));
    line(text, "  made for", &format!("'{}'", signature.namespace));
    let algorithm = signature.signature.algorithm.name();
    line(text, "  algorithm", &format!("{algorithm} over {}", signature.hash.name()));
    if let Some(presence) = signature.signature.presence {
        let touched = if presence.is_present() { "touched" } else { "not touched" };
        let verified = if presence.is_verified() { ", PIN or finger checked" } else { "" };
        line(text, "  security key", &format!("{touched}{verified}, signature number {}", presence.counter));
    }
    if let Some(certificate) = &signature.certificate {
        certificate_claims(text, certificate);
    }
    Ok(())
}

fn certificate_claims(text: &mut String, certificate: &Certificate<'_>) {
    let kind = if certificate.is_for_user { "user" } else { "host" };
    let id = format!("'{}' serial {}, for a {kind}", certificate.key_id, certificate.serial);
    line(text, "  certificate", &id);
    line(text, "  certificate authority", &certificate.authority.fingerprint());
    for principal in &certificate.principals {
        line(text, "  principal", principal);
    }
    let moment = |seconds: u64| i64::try_from(seconds).map_or_else(|_| "forever".to_owned(), words::time);
    let (from, to) = (moment(certificate.valid_after), moment(certificate.valid_before));
    line(text, "  certificate valid", &format!("{from} to {to}"));
    for (name, _) in &certificate.critical_options {
        line(text, "  condition", name);
    }
}

/// The line that names exactly the signer of a good signature in a policy.
pub(super) fn policy_line(armor: &[u8]) -> Option<String> {
    let bytes = ssh::decode(armor).ok()?;
    let signature = SshSignature::parse(&bytes).ok()?;
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let Some(certificate) = &signature.certificate else {
        return Some(format!("ssh = [{}]", quoted(&signature.key.line())));
    };
    let authority = quoted(&certificate.authority.line());
    let entry =
        |principal: &&str| format!("{{ authority = {authority}, principal = {} }}", quoted(principal));
    let entries: Vec<String> = certificate.principals.iter().map(entry).collect();
    Some(format!("ssh_certificates = [{}]", entries.join(", ")))
}
