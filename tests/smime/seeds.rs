//! The seeds of the fuzz target for S/MIME.

use std::{fs, path::Path};

use countersign::signature::armor;

use crate::{
    message::{Message, Named, attribute, tlv},
    workshop::{ALWAYS, MAIL, MIDDLE_OF_2021, Workshop},
};

#[test]
#[ignore = "it writes the seeds anew"]
fn write_seeds() {
    let workshop = Workshop::new("seeds of S/MIME", &["gpgsm", "gpgconf"]).unwrap();
    workshop.key_as("rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    workshop.issue("rsa", "middle", MAIL, ALWAYS);
    workshop.gnupg(&["root"], &["root", "middle"], &["rsa"]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    fs::create_dir_all(folder.join("corpus/smime")).unwrap();
    let write = |name: &str, seed: &[u8]| {
        fs::write(folder.join(format!("corpus/smime/{name}.seed")), seed).unwrap();
    };
    fs::write(folder.join("authority.pem"), workshop.pem(&["root", "middle"])).unwrap();
    let plain = Message::by("alice");
    let unsorted = plain.clone().with(|message| {
        message.attributes.push(attribute("1.2.840.113549.1.9.15", &tlv(0x30, &[])));
        message.attributes.reverse();
        message.named = Named::KeyIdentifier;
    });
    write("plain", &plain.der(&workshop));
    write("pieces", &plain.ber(&workshop));
    write("unsorted", &unsorted.der(&workshop));
    write("gpgsm", &armor::decode(workshop.gpgsm_sign("rsa", Some(MIDDLE_OF_2021)).as_bytes()).unwrap());
}
