//! One signature, several logs and several timestamp authorities, as the signing config asks.

use std::sync::Arc;

use cms::signed_data::{SignedData, SignerInfos};
use countersign::{
    encoding::cms as reader,
    identity::Token,
    object::Payload,
    sandbox::{Authority, Options, Running},
    service::http::Http,
    sign::{Logging, Preference, SignError, Signer, SigningPlan},
    signature::{FormatError, armor, keyless::Keyless},
    sigstore::{log_entry::TransparencyLogEntry, trusted_root::Instance},
    verify::{Bad, CannotTell, Proven, ProvenTime, Verdict, Verifier},
};
use der::{
    Any, Tag,
    asn1::{ObjectIdentifier, SetOfVec},
};
use serde_json::{Value, json};
use x509_cert::attr::Attribute;

use crate::support::{ALICE, now, rewrite_cms};

const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nhello\n";
const LOG_ENTRY: &str = "1.3.6.1.4.1.57264.3.1";
const FURTHER_ENTRIES: &str = "1.3.6.1.4.1.57264.3.1.1";
const TIMESTAMP: &str = "1.2.840.113549.1.9.16.2.14";
const FURTHER_TIMESTAMPS: &str = "1.3.6.1.4.1.57264.3.1.2";

/// Two operators of one instance: each has both logs and a timestamp authority; the first certifies.
struct Operators {
    one: Running,
    two: Running,
}

impl Operators {
    fn new() -> Self {
        let serve = || Authority::new(Options::default()).unwrap().serve(0).unwrap();
        Self { one: serve(), two: serve() }
    }

    /// Logs are named by operator and version.
    fn config(&self, logs: &[(&Running, u32)], log_selection: Value, stamp_selection: Value) -> Value {
        let mut config: Value = serde_json::from_str(&self.one.authority().signing_config_json()).unwrap();
        let service = |running: &Running, path: &str, version: u32| {
            let mut service = config["caUrls"][0].clone();
            service["url"] = format!("{}{path}", running.url()).into();
            service["majorApiVersion"] = version.into();
            service["operator"] = running.url().into();
            service
        };
        let logs: Vec<Value> = logs.iter().map(|(running, version)| service(running, "", *version)).collect();
        let stamps = [&self.one, &self.two].map(|running| service(running, "/api/v1/timestamp", 1));
        config["rekorTlogUrls"] = logs.into();
        config["tsaUrls"] = json!(stamps);
        config["rekorTlogConfig"] = log_selection;
        config["tsaConfig"] = stamp_selection;
        config
    }

    fn verifier(&self) -> Verifier {
        let root = |running: &Running| -> Value {
            serde_json::from_str(&running.authority().trusted_root_json()).unwrap()
        };
        let (mut merged, other) = (root(&self.one), root(&self.two));
        for kind in ["tlogs", "timestampAuthorities"] {
            let more = other[kind].as_array().unwrap().clone();
            merged[kind].as_array_mut().unwrap().extend(more);
        }
        Verifier::new(vec![Instance::from_json("sandbox", &merged.to_string()).unwrap()])
    }

    fn sign(&self, config: &Value, logging: Logging) -> Result<Vec<u8>, SignError> {
        let plan =
            SigningPlan::select(&config.to_string(), now(), Preference::Interoperable, logging).unwrap();
        let signer = Signer::new(Arc::new(Http::default()), plan);
        let token = Token::parse(self.one.authority().issue_id_token(ALICE).unwrap()).unwrap();
        let session = signer.open(&token, &|_| Ok(())).unwrap();
        Ok(signer.sign(&session, PAYLOAD, now(), &|_, _| Ok(()))?.armor)
    }

    /// Signed by two logs, v1 first, and two timestamp authorities.
    fn signed(&self) -> Vec<u8> {
        let all = json!({"selector": "ALL"});
        let config = self.config(&[(&self.two, 2), (&self.one, 1)], all.clone(), all);
        self.sign(&config, Logging::Required).unwrap()
    }
}

fn judge(verifier: &Verifier, armor: &[u8]) -> Verdict {
    verifier.verify(&Payload::whole(PAYLOAD), armor, now())
}

fn proven(verifier: &Verifier, armor: &[u8]) -> Proven {
    match judge(verifier, armor) {
        Verdict::Good(proven) => *proven,
        other => panic!("{other:?}"),
    }
}

/// How many values each unsigned attribute has.
fn values(armor: &[u8], kind: &str) -> usize {
    let der = armor::decode(armor).unwrap();
    let parsed = reader::SignedData::parse(&der).unwrap();
    let kind = ObjectIdentifier::new_unwrap(kind);
    let attributes = &parsed.signers[0].unsigned_attributes;
    let found: Vec<_> = attributes.iter().filter(|found| found.kind == kind.as_bytes()).collect();
    assert!(found.len() <= 1, "no attribute stands twice");
    found.first().map_or(0, |found| found.values.len())
}

/// The signature with its unsigned attributes changed.
fn with_attributes(armor: &[u8], change: impl FnOnce(&mut Vec<Attribute>)) -> Vec<u8> {
    rewrite_cms(armor, |signed: &mut SignedData| {
        let mut signer = signed.signer_infos.0.get(0).unwrap().clone();
        let mut attributes: Vec<Attribute> = signer.unsigned_attrs.take().unwrap().into_vec();
        change(&mut attributes);
        signer.unsigned_attrs = Some(SetOfVec::try_from(attributes).unwrap());
        signed.signer_infos = SignerInfos(SetOfVec::try_from(vec![signer]).unwrap());
    })
}

fn attribute<'a>(attributes: &'a mut [Attribute], kind: &str) -> &'a mut Attribute {
    let kind = ObjectIdentifier::new_unwrap(kind);
    attributes.iter_mut().find(|attribute| attribute.oid == kind).unwrap()
}

fn set(values: Vec<Any>) -> SetOfVec<Any> {
    SetOfVec::try_from(values).unwrap()
}

fn malformed(cause: FormatError) -> Verdict {
    Verdict::CannotTell(CannotTell::Format(cause))
}

#[test]
fn every_entry_and_every_timestamp_that_is_asked_for_is_there_and_proven() {
    let operators = Operators::new();
    let armor = operators.signed();
    let proven = proven(&operators.verifier(), &armor);
    let [first, second] = proven.entries() else { panic!("{:?}", proven.entries()) };
    assert!(first.signed_entry_timestamp, "gitsign reads the first, and v1 only");
    assert!(!second.signed_entry_timestamp && second.inclusion_proof);
    let kinds: Vec<bool> = proven.times().iter().map(|time| matches!(time, ProvenTime::Log(_))).collect();
    assert_eq!(kinds, [true, false, false]);
    let mut authorities: Vec<&str> =
        proven.timestamps().iter().map(|stamp| stamp.authority.as_str()).collect();
    authorities.sort_unstable();
    let mut expected =
        [operators.one.url(), operators.two.url()].map(|url| format!("{url}/api/v1/timestamp"));
    expected.sort_unstable();
    for (authority, expected) in authorities.iter().zip(&expected) {
        assert!(expected.starts_with(*authority) && !authority.is_empty(), "{authority} {expected}");
    }

    // gitsign wants exactly one value in each of its own two attributes.
    for kind in [LOG_ENTRY, TIMESTAMP, FURTHER_ENTRIES, FURTHER_TIMESTAMPS] {
        assert_eq!(values(&armor, kind), 1, "{kind}");
    }
}

#[test]
fn one_entry_is_written_as_gitsign_writes_it() {
    let operators = Operators::new();
    let any = json!({"selector": "ANY"});
    let config = operators.config(&[(&operators.two, 2), (&operators.one, 1)], any.clone(), any);
    let armor = operators.sign(&config, Logging::Required).unwrap();
    let counts = [LOG_ENTRY, TIMESTAMP, FURTHER_ENTRIES, FURTHER_TIMESTAMPS].map(|kind| values(&armor, kind));
    assert_eq!(counts, [1, 0, 0, 0]);
    assert_eq!(proven(&operators.verifier(), &armor).entries().len(), 1);
}

#[test]
fn a_log_that_does_not_answer_leaves_no_signature_with_fewer_entries() {
    let mut operators = Operators::new();
    let all = json!({"selector": "ALL"});
    let config =
        operators.config(&[(&operators.one, 1), (&operators.two, 1)], all, json!({"selector": "ANY"}));
    operators.two = Authority::new(Options::default()).unwrap().serve(0).unwrap();
    let result = operators.sign(&config, Logging::Required);
    assert!(matches!(&result, Err(SignError::Log(error)) if error.is_absence()), "{result:?}");
}

#[test]
fn what_is_further_has_to_hold_as_the_first_has() {
    let operators = Operators::new();
    let verifier = operators.verifier();
    let (armor, other) = (operators.signed(), operators.signed());
    let taken = |kind: &str| {
        let mut found = None;
        with_attributes(&other, |attributes| found = Some(attribute(attributes, kind).values.clone()));
        found.unwrap()
    };
    let entries = taken(FURTHER_ENTRIES);
    let stolen =
        with_attributes(&armor, |attributes| attribute(attributes, FURTHER_ENTRIES).values = entries);
    assert_eq!(judge(&verifier, &stolen), Verdict::Bad(Bad::InclusionProof));
    let tokens = taken(FURTHER_TIMESTAMPS);
    let stolen =
        with_attributes(&armor, |attributes| attribute(attributes, FURTHER_TIMESTAMPS).values = tokens);
    assert_eq!(judge(&verifier, &stolen), Verdict::Bad(Bad::TimestampImprint));
}

#[test]
fn further_evidence_has_one_spelling() {
    let operators = Operators::new();
    let verifier = operators.verifier();
    let armor = operators.signed();
    let judged = |change: &dyn Fn(&mut Vec<Attribute>)| {
        judge(&verifier, &with_attributes(&armor, |attributes| change(attributes)))
    };
    let copy = |attributes: &mut Vec<Attribute>, from: &str, to: &str| {
        let values = attribute(attributes, from).values.clone();
        attribute(attributes, to).values = values;
    };
    let remove = |attributes: &mut Vec<Attribute>, kind: &str| {
        attributes.retain(|attribute| attribute.oid != ObjectIdentifier::new_unwrap(kind));
    };
    // The first once more; without the first; something else than octets; none at all.
    let twice = judged(&|attributes| copy(attributes, LOG_ENTRY, FURTHER_ENTRIES));
    assert_eq!(twice, malformed(FormatError::LogEntry));
    let twice = judged(&|attributes| copy(attributes, TIMESTAMP, FURTHER_TIMESTAMPS));
    assert_eq!(twice, malformed(FormatError::Timestamp));
    assert_eq!(judged(&|attributes| remove(attributes, LOG_ENTRY)), malformed(FormatError::LogEntry));
    assert_eq!(judged(&|attributes| remove(attributes, TIMESTAMP)), malformed(FormatError::Timestamp));
    let other = judged(&|attributes| {
        attribute(attributes, FURTHER_ENTRIES).values =
            set(vec![Any::new(Tag::Utf8String, b"x".as_slice()).unwrap()]);
    });
    assert_eq!(other, malformed(FormatError::LogEntry));
    for (kind, cause) in
        [(FURTHER_ENTRIES, FormatError::LogEntry), (FURTHER_TIMESTAMPS, FormatError::Timestamp)]
    {
        assert_eq!(judged(&|attributes| attribute(attributes, kind).values = set(vec![])), malformed(cause));
        let many = judged(&|attributes| {
            let values = (0..4_u8).map(|byte| Any::new(Tag::OctetString, vec![byte]).unwrap()).collect();
            attribute(attributes, kind).values = set(values);
        });
        assert_eq!(many, malformed(FormatError::TooLarge), "{kind}");
    }
}

#[test]
fn two_entries_of_one_log_are_refused() {
    let operators = Operators::new();
    let (verifier, armor) = (operators.verifier(), operators.signed());
    // The same entry, told apart by what a protobuf reader does not see: its fields in another order.
    let der = armor::decode(&armor).unwrap();
    let parsed = reader::SignedData::parse(&der).unwrap();
    let further = Keyless::of(&parsed).unwrap().further_log_entries[0].to_vec();
    let entry = TransparencyLogEntry::parse(&further).unwrap();
    let mut bodied = entry.clone();
    bodied.canonicalized_body = {
        let keyless = Keyless::of(&parsed).unwrap();
        let digest = countersign::encoding::sha256(&[&keyless.signed_attributes]);
        countersign::sigstore::log_entry::body(
            entry.body_version().unwrap(),
            &digest,
            keyless.signature,
            keyless.certificate,
            "PKIX_ECDSA_P256_SHA_256",
        )
    };
    let values = [further, prost::Message::encode_to_vec(&bodied)]
        .map(|bytes| Any::new(Tag::OctetString, bytes).unwrap())
        .to_vec();
    let twice =
        with_attributes(&armor, |attributes| attribute(attributes, FURTHER_ENTRIES).values = set(values));
    assert_eq!(judge(&verifier, &twice), malformed(FormatError::LogEntry));
}
