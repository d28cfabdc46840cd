//! A signature is judged wholly inside one instance: the keys of two are never pooled.

use countersign::{
    object::Payload,
    sandbox::Role,
    sigstore::trusted_root::Instance,
    verify::{Bad, CannotTell, Verdict, Verifier},
};

use crate::{
    bad,
    forge::{PAYLOAD, START, Signature, World, entry_by, judge, sct_list},
    good, unclear,
};

/// What a verifier says that trusts both, in either order.
#[track_caller]
fn judge_both(first: &World, second: &World, signature: &Signature) -> Verdict {
    let second = || second.instance_called("second", |_| {});
    let one = judge(vec![first.instance(), second()], &signature.armor());
    let other = judge(vec![second(), first.instance()], &signature.armor());
    assert_eq!(one, other, "the order of the instances decides nothing");
    one
}

#[test]
fn each_instance_vouches_for_its_own() {
    let (one, two) = (World::new(), World::new());
    for world in [&one, &two] {
        good(judge_both(&one, &two, &world.signed()));
    }
}

#[test]
fn an_expired_certificate_freshly_logged_by_another_instance_is_not_good() {
    let (public, private) = (World::new(), World::new());
    let signer = public.signer();
    private.clock.set(START + 3600);
    let signature = private.signed_by(&signer);
    assert_eq!(judge_both(&public, &private, &signature), unclear(CannotTell::UnknownLog));
    private.clock.set(START); // nor with a clock that the second instance has put back
    let signature = private.signed_by(&signer);
    assert_eq!(judge_both(&public, &private, &signature), unclear(CannotTell::UnknownLog));
}

#[test]
fn a_timestamp_authority_of_another_instance_proves_nothing() {
    let (one, two) = (World::new(), World::new());
    let signature = two.stamped(one.logged_v2(one.unlogged(&one.signer())));
    assert_eq!(judge_both(&one, &two, &signature), unclear(CannotTell::UnknownTimestampAuthority));
}

#[test]
fn a_ct_log_of_another_instance_proves_nothing() {
    let (one, two) = (World::new(), World::new());
    let theirs = two.authority.signing_key(Role::CertificateTransparencyLog);
    let signer = one.signer_by(|_| {}, |tbs| sct_list(&[one.sct(theirs, tbs)]));
    let signature = one.signed_by(&signer);
    assert_eq!(judge_both(&one, &two, &signature), unclear(CannotTell::UnknownCtLog));
}

#[test]
fn a_checkpoint_proven_in_one_instance_is_not_remembered_in_another() {
    let (one, two) = (World::new(), World::new());
    // The second instance names its own key by the first one's log id, as it can for Ed25519 alone.
    let id = one.authority.signing_key(Role::RekorV1).key_id();
    let named = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, id);
    let impostor = two.instance_called("impostor", |root| root["tlogs"][1]["logId"]["keyId"] = named.into());
    let key = two.authority.signing_key(Role::RekorV2);

    let in_two = {
        let mut signature = two.unlogged(&two.signer());
        signature.signer().entry = Some(entry_by(key, &id, &signature, START));
        signature
    };
    let mut in_one = one.unlogged(&one.signer());
    in_one.signer().entry = Some(entry_by(key, &id, &in_one, START));
    let in_one = one.stamped(in_one.without_entry_timestamp());

    let verifier = Verifier::new(vec![one.instance(), impostor]);
    let ask =
        |signature: &Signature| verifier.verify(&Payload::whole(PAYLOAD), &signature.armor(), START + 1);
    good(ask(&in_two));
    assert_eq!(ask(&in_one), bad(Bad::CheckpointSignature));
    // The very note that the second instance has proven, in front of the first.
    let mut borrowed = in_one;
    borrowed.proof().checkpoint =
        in_two.signers[0].entry.clone().unwrap().inclusion_proof.unwrap().checkpoint;
    assert_eq!(ask(&borrowed), bad(Bad::CheckpointSignature));
}

#[test]
fn of_two_instances_with_one_name_none_counts() {
    let (one, two, third) = (World::new(), World::new(), World::new());
    let name = one.instance().name().to_owned();
    let third_instance = || third.instance_called("third", |_| {});
    for signed in [one.signed(), two.signed()] {
        let instances = vec![one.instance(), two.instance(), third_instance()];
        assert!(instances[..2].iter().all(|instance| instance.name() == name));
        assert_eq!(judge(instances, &signed.armor()), unclear(CannotTell::UnknownAuthority));
    }
    good(judge(vec![one.instance(), two.instance(), third_instance()], &third.signed().armor()));
}

#[test]
fn no_instance_knows_nobody() {
    let world = World::new();
    let none: Vec<Instance> = Vec::new();
    assert_eq!(judge(none, &world.signed().armor()), unclear(CannotTell::UnknownAuthority));
    assert_eq!(
        judge(vec![World::new().instance()], &world.signed().armor()),
        unclear(CannotTell::UnknownAuthority)
    );
}
