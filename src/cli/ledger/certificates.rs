//! The push certificates in a ledger: whether each is intact, signed, and for the entries that name it.

use gix::{bstr::BStr, objs::Kind};

use crate::{
    cli::{
        World,
        verify::certificates::{Certificates, Signed},
    },
    ledger::{self, CertificateError, Finding, Record, Report},
    object::{ObjectId, PushCertificate},
    repository::{ObjectReader, Repository},
    words::{Failure, escape},
};

/// What is wrong with one certificate, or cannot be told.
enum Fault {
    Bad(String),
    Unclear(String),
}

/// Look at the certificate of every record behind `head`, and add to `report` what there is to say. Names
/// that are aliases are those of `repository`, where it is the server's (`is_own`); `reader` has the records.
pub(super) fn look(
    world: &World<'_>,
    (repository, reader): (&Repository, &ObjectReader),
    head: ObjectId,
    is_own: bool,
    report: &mut Report,
) -> Result<(), Failure> {
    if report.certified == 0 {
        return Ok(());
    }
    let references = repository.references();
    let stands_for = |name: &BStr, reference: &BStr| {
        is_own && references.read(name).is_ok_and(|value| value.names.iter().any(|name| name == reference))
    };
    let judge = Certificates::new(world, repository)?;
    let mut held = ledger::Certificates::default();
    // Records of one push follow each other and name one certificate.
    let mut last: Option<(ObjectId, Option<String>)> = None;
    for walked in ledger::walk(reader, Some(head), None) {
        // A chain that does not hold was told already.
        let Ok(ledger::Walked { record, .. }) = walked else { break };
        let Some(id) = record.occasion.acceptance().and_then(|acceptance| acceptance.certificate) else {
            continue;
        };
        let known = last.take().filter(|(known, _)| *known == id).map(|(_, name)| name);
        let answer = look_at(&judge, &mut held, reader, id, &record, known, &stands_for);
        let (certificate, sequence) = (id, record.sequence);
        match answer {
            Ok(name) => {
                report.verified += record.entries.len() as u64;
                last = Some((id, name));
            }
            Err(Fault::Bad(reason)) => report.add(Finding::Certificate { certificate, sequence, reason }),
            Err(Fault::Unclear(reason)) => {
                report.add(Finding::UnclearCertificate { certificate, sequence, reason });
            }
        }
    }
    Ok(())
}

/// Look at one; who has signed it, if anybody is named. `known` is what was found of it a record ago.
fn look_at(
    judge: &Certificates<'_, '_>,
    held: &mut ledger::Certificates,
    reader: &ObjectReader,
    id: ObjectId,
    record: &Record,
    known: Option<Option<String>>,
    stands_for: &dyn Fn(&BStr, &BStr) -> bool,
) -> Result<Option<String>, Fault> {
    let object = reader.read(id).map_err(|error| Fault::Bad(error.to_string()))?;
    if object.kind != Kind::Blob {
        return Err(Fault::Bad(format!("it is a {}", object.kind)));
    }
    let certificate = PushCertificate::parse(reader.hash(), &object.bytes)
        .map_err(|error| Fault::Bad(error.to_string()))?;
    let name = match known {
        Some(name) => name,
        None => match judge.judge(reader, &certificate, record.occasion.received()) {
            Signed::Good { name } => name,
            Signed::Bad(reason) => return Err(Fault::Bad(reason)),
            Signed::Unclear(reason) => return Err(Fault::Unclear(reason)),
        },
    };
    held.hold(record, &certificate, stands_for).map_err(|error: CertificateError| {
        if error.is_unclear() { Fault::Unclear(error.to_string()) } else { Fault::Bad(error.to_string()) }
    })?;
    // Whom the gate has written down as the one who signed.
    let claiming = record.occasion.acceptance().filter(|acceptance| acceptance.claims_certificate());
    if let (Some(pusher), Some(name)) = (claiming.and_then(|claiming| claiming.pusher.as_deref()), &name)
        && !pusher.contains(&format!("'{}' by certificate", escape(name)))
    {
        return Err(Fault::Unclear(format!("it is signed by '{name}', and the entry names {pusher}")));
    }
    Ok(name)
}
