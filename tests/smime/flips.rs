//! Every bit of S/MIME signatures, flipped: what stays good is what no signature covers, and says the same.

use countersign::{
    object::Payload,
    signature::smime::{Smime, normalised},
    verify::Verdict,
};
use rayon::prelude::*;

use crate::{
    engine::{NOW, verifier},
    message::Message,
    workshop::{PAYLOAD, Workshop, armor},
};

#[test]
fn no_flipped_bit_makes_another_signer_time_or_content() {
    let Some(workshop) = Workshop::new("flips of S/MIME", &[]) else { return };
    let message = Message::by("alice");
    for (what, bytes) in [("DER", message.der(&workshop)), ("BER", message.ber(&workshop))] {
        let verifier = verifier(&workshop);
        let payload = Payload::whole(PAYLOAD.as_bytes());
        let judge = |bytes: &[u8]| verifier.verify(&payload, armor(bytes).as_bytes(), NOW);
        let Verdict::Stated(original) = judge(&bytes) else { panic!("{what}: {:?}", judge(&bytes)) };
        let der = normalised(&bytes).unwrap();
        let parts = Smime::parse(&der).unwrap();
        let inside = |part: &[u8], position: usize| {
            let at = bytes.windows(part.len()).position(|window| window == part);
            at.is_some_and(|at| (at..at + part.len()).contains(&position))
        };
        let leaf = parts.certificate().unwrap().unwrap();
        let middle = workshop.der("middle");
        // The SET's tag is not what stands in the message.
        let attributes = &parts.signed_attributes[1..];
        let still_good: Vec<usize> = (0..bytes.len() * 8)
            .into_par_iter()
            .filter(|bit| {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                match judge(&flipped) {
                    Verdict::Stated(stated) => {
                        assert_eq!(stated, original, "{what}: bit {bit} says something else");
                        true
                    }
                    Verdict::Good(_) => panic!("{what}: bit {bit} proves something"),
                    Verdict::Bad(_) | Verdict::CannotTell(_) => false,
                }
            })
            .collect();
        let positions: Vec<usize> = still_good.iter().map(|bit| bit / 8).collect();
        for position in &positions {
            let covered = [leaf, &middle, attributes].iter().any(|part| inside(part, *position));
            assert!(!covered, "{what}: byte {position} is signed, and may be changed");
        }
        assert_eq!(positions, [0; 0], "{what}: nothing else may be changed either");
    }
}
