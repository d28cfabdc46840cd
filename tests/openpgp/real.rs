//! The corpus: what independent programs said of real OpenPGP signatures, we say.

use crate::corpus::{Corpus, NOW};
use countersign::{
    signature::openpgp::Detached,
    verify::{CannotTell, Verdict, Verifier, openpgp::KeyRing},
};

#[test]
fn every_row_gets_the_answer_that_the_index_gives() {
    let Some(corpus) = Corpus::open("OpenPGP rows") else { return };
    let ring = KeyRing::from_armored(&corpus.file("keys/github-web-flow.asc")).unwrap();
    let verifier = Verifier::new(vec![]).with_openpgp(ring);
    let (mut wrong, mut counts) = (Vec::new(), [0; 3]);
    for row in corpus.rows.iter().filter(|row| row.signature == "openpgp") {
        let object = corpus.object(&row.id);
        let signed = object.signed();
        let armor = signed.signature.as_deref().unwrap();
        let claimed = hex::encode_upper(Detached::parse(armor).unwrap().issuer().key_id);
        let verdict = verifier.verify(&signed.payload, armor, NOW);
        let (answer, count) = match &verdict {
            Verdict::Stated(stated) if stated.key_expired() => ("good-key-expired-since", 0),
            Verdict::Stated(_) => ("good", 1),
            Verdict::CannotTell(CannotTell::UnknownKey) => ("unknown-key", 2),
            _ => ("other", 2),
        };
        counts[count] += 1;
        if answer != row.expect || claimed != row.signer {
            wrong.push(format!("{}: {verdict:?} by {claimed}, not {} by {}", row.id, row.expect, row.signer));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(counts, [68, 109, 39]);
}
