//! Every bit of S/MIME signatures, flipped: none makes another signer, time or content, and none stays good.

use countersign::{
    object::Payload,
    signature::smime::{Smime, normalised},
    verify::{
        Verdict, Verifier,
        smime::{Authorities, CertificateAuthority},
    },
};
use rayon::prelude::*;

use crate::{
    engine::{NOW, verifier},
    message::Message,
    workshop::{PAYLOAD, Workshop, armor},
};

fn flip_every_bit(what: &str, bytes: &[u8], verifier: &Verifier) {
    let payload = Payload::whole(PAYLOAD.as_bytes());
    let judge = |bytes: &[u8]| verifier.verify(&payload, armor(bytes).as_bytes(), NOW);
    let Verdict::Stated(original) = judge(bytes) else { panic!("{what}: {:?}", judge(bytes)) };
    let still_good: Vec<usize> = (0..bytes.len() * 8)
        .into_par_iter()
        .filter(|bit| {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match judge(&flipped) {
                Verdict::Stated(stated) => {
                    assert_eq!(stated, original, "{what}: bit {bit} says something else");
                    true
                }
                Verdict::Good(_) | Verdict::NotLogged(_) | Verdict::TimeNotProven(_) => {
                    panic!("{what}: bit {bit} proves something")
                }
                Verdict::Bad(_) | Verdict::CannotTell(_) => false,
            }
        })
        .collect();
    let first = still_good.first();
    assert_eq!(first, None, "{what}: it may be changed, and {} bits in all", still_good.len());
    // The parts were where they are thought to be.
    let der = normalised(bytes).unwrap();
    let parts = Smime::parse(&der).unwrap();
    let is_inside = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(is_inside(&parts.signed_attributes[1..]) && is_inside(parts.certificate().unwrap().unwrap()));
}

#[test]
fn no_flipped_bit_is_good_in_der_or_ber() {
    let Some(workshop) = Workshop::new("flips of S/MIME", &[]) else { return };
    let message = Message::by("alice");
    flip_every_bit("DER", &message.der(&workshop), &verifier(&workshop));
    flip_every_bit("BER", &message.ber(&workshop), &verifier(&workshop));
}

#[test]
fn no_flipped_bit_is_good_in_what_gpgsm_wrote() {
    // The root alone: a certificate that is known besides may be changed where it comes along once more.
    let (root, _) = include_str!("../fuzz/authority.pem").split_once("\n-----BEGIN").unwrap();
    let authority = CertificateAuthority::from_pem("corp", root.as_bytes()).unwrap();
    let verifier = Verifier::new(Vec::new()).with_smime(Authorities::new(vec![authority]));
    flip_every_bit("gpgsm", include_bytes!("../fuzz/corpus/smime/gpgsm.seed"), &verifier);
}
