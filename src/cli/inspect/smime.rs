//! What an S/MIME signature says of itself.

use super::line;
use crate::{
    encoding::{name, x509::Slices},
    object::Payload,
    signature::smime::{Smime, normalised},
    sigstore::key::digest_hash,
    verify::smime::Authorities,
    words,
};

/// The claims of an S/MIME signature; `der` may be BER.
pub(super) fn claims(
    text: &mut String,
    payload: &Payload<'_>,
    der: &[u8],
    authorities: &Authorities,
) -> Result<(), String> {
    let is_ber = crate::encoding::ber::is_indefinite(der);
    line(text, "  kind", &if is_ber { "S/MIME (CMS in BER)" } else { "S/MIME (CMS)" });
    let der = normalised(der).map_err(|error| error.to_string())?;
    let smime = Smime::parse(&der).map_err(|error| error.to_string())?;
    if let Some(hash) = digest_hash(&smime.digest_algorithm) {
        let matches = hash.of_segments(&payload.segments()) == smime.message_digest;
        let whose = if matches { "the content's" } else { "not the content's" };
        line(text, "  signed digest", &format!("{} ({whose})", hex::encode(smime.message_digest)));
    } else {
        text.push_str("  signed digest: of a kind that does not count\n");
    }
    match smime.signing_time {
        Some(time) => line(text, "  made", &words::time(time)),
        None => text.push_str("  no time stated\n"),
    }
    line(text, "  certificates in it", &smime.certificates.len());
    match authorities.certificate(&smime).map_err(|error| error.to_string())? {
        Some(certificate) => describe(text, certificate),
        None => {
            text.push_str("  certificate: not in the signature, and not known here\n");
            Ok(())
        }
    }
}

fn describe(text: &mut String, certificate: &[u8]) -> Result<(), String> {
    let slices = Slices::parse(certificate).map_err(|error| error.to_string())?;
    for (what, name) in [("  certificate for", slices.subject), ("  certificate issuer", slices.issuer)] {
        let attributes = name::attributes(name).map_err(|error| error.to_string())?;
        let parts: Vec<String> =
            attributes.into_iter().map(|(kind, value)| format!("{kind}={value}")).collect();
        line(text, what, &parts.join(", "));
    }
    line(text, "  serial number", &hex::encode_upper(slices.serial));
    line(text, "  fingerprint", &hex::encode_upper(crate::encoding::sha256(&[certificate])));
    let (from, to) = (words::time(slices.not_before), words::time(slices.not_after));
    line(text, "  certificate valid", &format!("{from} to {to}"));
    Ok(())
}
