//! Push certificates (gitformat-signature, send-pack.c): what a pusher signs with `git push --signed`.

use super::{
    HashKind, ObjectError, ObjectId, Signed,
    header::{Headers, object_id},
    tag::split_at_last_armor,
};

/// One ref update that the pusher asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// The value that the pusher saw; null for a creation.
    pub old: ObjectId,
    /// The value that the pusher wants; null for a deletion.
    pub new: ObjectId,
    /// The full ref name.
    pub reference: &'a [u8],
}

/// A push certificate that was parsed strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushCertificate<'a> {
    /// The `pusher` value: `key-or-person seconds zone`.
    pub pusher: &'a [u8],
    /// Where the push goes, as the client knows it.
    pub pushee: Option<&'a [u8]>,
    /// The server's nonce.
    pub nonce: Option<&'a [u8]>,
    /// Push options, in order.
    pub push_options: Vec<&'a [u8]>,
    /// The ref updates, in order.
    pub commands: Vec<Command<'a>>,
    /// What was signed, and the signature.
    pub signed: Signed<'a>,
}

impl<'a> PushCertificate<'a> {
    /// Whether `bytes` mean to be a push certificate, of whatever version.
    #[must_use]
    pub fn is_meant(bytes: &[u8]) -> bool {
        bytes.starts_with(b"certificate version ")
    }

    /// Parse the bytes of a push certificate for a repository that uses `hash`.
    ///
    /// # Errors
    /// Whatever is ambiguous or malformed, each with its own cause.
    pub fn parse(hash: HashKind, object: &'a [u8]) -> Result<Self, ObjectError> {
        let mut headers = Headers::new(object)?;
        if headers.expect("certificate")? != b"version 0.1" {
            return Err(ObjectError::UnknownPushCertificateVersion);
        }
        let pusher = headers.expect("pusher")?;
        let pushee = headers.accept("pushee")?;
        let nonce = headers.accept("nonce")?;
        let mut push_options = Vec::new();
        while let Some(option) = headers.accept("push-option")? {
            push_options.push(option);
        }
        if headers.next()?.is_some() {
            return Err(ObjectError::MalformedHeader);
        }
        let body_start = headers.body_start();
        let signed = split_at_last_armor(object, body_start, None);
        let body_end = signed.payload.segments()[0].len();
        let mut commands = Vec::new();
        for line in object[body_start..body_end].split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").ok_or(ObjectError::MalformedHeader)?;
            let mut parts = line.splitn(3, |byte| *byte == b' ');
            let mut part =
                || parts.next().filter(|part| !part.is_empty()).ok_or(ObjectError::MalformedHeader);
            commands.push(Command {
                old: object_id(hash, part()?, "old")?,
                new: object_id(hash, part()?, "new")?,
                reference: part()?,
            });
        }
        if commands.is_empty() {
            return Err(ObjectError::MissingHeader("command"));
        }
        Ok(Self { pusher, pushee, nonce, push_options, commands, signed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_gives_its_commands_and_its_payload() {
        let zero = "0".repeat(40);
        let new = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        let payload = format!(
            "certificate version 0.1\npusher A <a@b.c> 1 +0000\npushee file:///x\nnonce 1-ab\npush-option o\n\n\
             {zero} {new} refs/heads/main\n"
        );
        let object = format!("{payload}-----BEGIN SIGNED MESSAGE-----\nx\n");
        let certificate = PushCertificate::parse(HashKind::Sha1, object.as_bytes()).unwrap();
        assert_eq!(certificate.signed.payload.to_vec(), payload.as_bytes());
        assert_eq!(certificate.commands[0].reference, b"refs/heads/main");
        assert_eq!(certificate.push_options, [b"o"]);
        assert!(PushCertificate::is_meant(object.as_bytes()) && !PushCertificate::is_meant(b"tree "));
        let version = object.replace("0.1", "0.2");
        assert_eq!(
            PushCertificate::parse(HashKind::Sha1, version.as_bytes()).unwrap_err(),
            ObjectError::UnknownPushCertificateVersion
        );
        let no_commands = object.replace(&format!("{zero} {new} refs/heads/main\n"), "");
        assert_eq!(
            PushCertificate::parse(HashKind::Sha1, no_commands.as_bytes()).unwrap_err(),
            ObjectError::MissingHeader("command")
        );
    }
}
