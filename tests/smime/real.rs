//! A signature by a real person with `smimesign`, under a public authority for mail.

use countersign::{
    encoding::x509::Slices,
    object::Payload,
    signature::{
        armor,
        smime::{Smime, is_smime},
    },
    verify::{
        Bad, CannotTell, Key, Verdict, Verifier,
        smime::{Authorities, CertificateAuthority},
    },
};

use crate::corpus::{Corpus, NOW};

/// Where systems keep the root under which it was made.
const ROOT: &str = "/etc/ssl/certs/DigiCert_Assured_ID_Root_G2.pem";

#[test]
fn the_one_of_the_corpus_is_by_whom_its_certificate_names_and_no_root_is_taken_from_the_system() {
    let Some(corpus) = Corpus::open("S/MIME commits") else { return };
    let rows: Vec<_> = corpus.rows.iter().filter(|row| row.signature == "x509-other").collect();
    assert_eq!(rows.len(), 1);
    let object = corpus.object(&rows[0].id);
    let signed = object.signed();
    let armored = signed.signature.as_deref().unwrap();
    assert!(is_smime(armored));
    let judge = |verifier: &Verifier| verifier.verify(&signed.payload, armored, NOW);
    let nobody = Verifier::new(Vec::new());
    assert_eq!(judge(&nobody), Verdict::CannotTell(CannotTell::UnknownCertificateAuthority));

    let der = armor::decode(armored).unwrap();
    let smime = Smime::parse(&der).unwrap();
    let leaf = Slices::parse(smime.certificate().unwrap().unwrap()).unwrap();
    assert!(smime.signing_time.is_some_and(|time| (leaf.not_before..leaf.not_after).contains(&time)));
    let longer = [signed.payload.to_vec(), b"\n".to_vec()].concat();
    let changed = nobody.verify(&Payload::whole(&longer), armored, NOW);
    assert_eq!(changed, Verdict::Bad(Bad::DigestMismatch));

    let Ok(root) = std::fs::read(ROOT) else {
        println!("SKIPPED: the chain of the S/MIME commit: there is no '{ROOT}'");
        return;
    };
    let authority = CertificateAuthority::from_pem("digicert", &root).unwrap();
    let verifier = Verifier::new(Vec::new()).with_smime(Authorities::new(vec![authority]));
    let Verdict::Stated(stated) = judge(&verifier) else { panic!("{:?}", judge(&verifier)) };
    assert!(matches!(
        &stated.keys()[0],
        Key::X509 { authority, subject } if authority == "digicert" && subject.ends_with("@thomsonreuters.com")
    ));
    assert_eq!(stated.time(), smime.signing_time);
}
