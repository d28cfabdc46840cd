//! countersign: sign git commits and tags with who you are, and turn away what can't be vouched for.
//!
//! One pure engine answers "who vouches for this object, and is that enough here?"; git's signing
//! program, the server's hooks and the command line are thin mouths on it.
//!
//! ```text
//! &[u8] ──object──▶ Signed ──signature──▶ Envelope ──verify──▶ Verdict ──policy──▶ Decision
//!  raw object       payload slices        claims, all          who, when, how      allow, or deny with
//!  as git stores    + signature bytes     untrusted            proven: or why not  object, signer, rule, remedy
//! ```
//!
//! The map, from the bottom up; arrows point down only:
//!
//! | room | knows | must not know |
//! |---|---|---|
//! | [`words`] | how we speak to people: `error:`, `hint:`, escaping | what about |
//! | [`encoding`] | DER, CMS and X.509 as slices, BER made into DER, SHA-256 | what any of it means |
//! | [`object`] | commits, tags, push certificates as raw bytes; object ids of both hash kinds | repositories, what is inside a signature |
//! | [`signature`] | armor, the profiles of a keyless CMS and of S/MIME, SSHSIG and OpenPGP; bytes to claims and back | trust, network |
//! | [`sigstore`] | certificate, SCT, log entry, inclusion proof, checkpoint, timestamp, trusted root, signing config | the servers that made them |
//! | [`verify`] | what has to be proven, in which order | where bytes came from, refs, policy |
//! | [`policy`] | identities, rules, ref patterns, decisions | encodings, trust roots |
//! | [`repository`] | gix: objects, what a push adds, quarantine, configuration, kept log entries | signatures |
//! | [`trust`] | a policy with all that it names: from a file, or followed in a ref from a commit that is believed | which file or commit that is |
//! | [`key`] | keys that sign: a fresh one, or one in a file, a token, a KMS, an ssh-agent | whose they are |
//! | [`ledger`] | which ref updates a server has accepted: records in a ref, intents, and what refs should hold by them | what is accepted, and why |
//! | [`identity`] | getting an identity token | certificates |
//! | [`service`] | clients of the servers: Fulcio, Rekor v1 and v2, timestamp authority | git |
//! | [`sign`] | payload in, signature out; what evidence to gather | which object is signed |
//! | [`agent`] | keeps a short-lived key; builds and signs the signed attributes of objects that it has parsed, never a bare digest; the key never leaves it | the network of others |
//! | [`hook`] | the server's hooks and their installation | credentials |
//! | [`remote`] | git's remote helper: what a remote serves, judged before any ref moves | credentials |
//! | [`gpg`] | the command-line dialect and status lines that git and its friends speak | everything else |
//! | [`cli`] | arguments, words for people, JSON, exit codes | |
//! | [`sandbox`] | an embedded Sigstore on loopback, for trials and tests | production, and any other room |
//! | [`manual`] | why things are as they are: the field's vulnerabilities, our defaults | |
//!
//! `object`, `signature`, `sigstore`, `verify` and `policy` read no clock, file, process, socket or
//! environment; `tests/architecture.rs` checks that and the direction of the arrows.

pub mod agent;
pub mod cli;
pub mod encoding;
pub mod gpg;
pub mod hook;
pub mod identity;
pub mod key;
pub mod ledger;
pub mod manual;
pub mod object;
pub mod policy;
pub mod remote;
pub mod repository;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod service;
pub mod sign;
pub mod signature;
pub mod sigstore;
pub mod trust;
pub mod verify;
pub mod words;
