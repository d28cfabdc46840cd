//! What a rule demands of signatures besides who made them: which proofs count, and how many.

use std::fmt;

use super::Permission;
use crate::{
    verify::{NotLogged, Proven, ProvenEntry, ProvenTimestamp},
    words::escape,
};

/// What has to prove that, and when, a signature was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// An entry in a log, and a timestamp.
    Both,
    /// An entry in a log.
    Log,
    /// A timestamp; whether a log holds it does not matter.
    Timestamp,
}

/// What a rule demands of a signature besides its signer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// What has to be there, of every signature. `None` asks for a log entry of keyless signatures, and nothing
    /// of those by keys of one's own.
    pub proof: Option<Proof>,
    /// The instances that count; all if empty.
    pub instances: Vec<String>,
    /// The logs that count, by their URLs as trusted roots have them; all if empty.
    pub logs: Vec<String>,
    /// The timestamp authorities that count, by their URLs as trusted roots have them; all if empty.
    pub timestamp_authorities: Vec<String>,
    /// Whether a keyless signature counts that has a timestamp and is in no log that it shows.
    pub not_logged: Permission,
    /// Whether a keyless signature counts whose time nothing proves.
    pub time_not_proven: Permission,
}

/// What is missing. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofLack {
    /// Another instance vouches.
    Instance {
        /// Which one.
        found: String,
        /// Those that count.
        wanted: Vec<String>,
    },
    /// A key of its owner's keeping, of which nothing proves when it signed.
    Key,
    /// No entry in a log that counts.
    Log {
        /// The logs of the entries that there are.
        found: Vec<String>,
        /// Those that count; any if empty.
        wanted: Vec<String>,
    },
    /// Nothing that counts proves the time.
    Time,
    /// No timestamp by an authority that counts.
    Timestamp {
        /// The authorities of the timestamps that there are.
        found: Vec<String>,
        /// Those that count; any if empty.
        wanted: Vec<String>,
    },
}

impl Demands {
    /// What of a signature with a log entry is missing.
    pub(super) fn judge_proven(&self, proven: &Proven) -> Result<(), ProofLack> {
        self.judge_shown(&proven.identity().instance, proven.entries(), proven.timestamps())
    }

    /// What of a signature with timestamps alone is missing.
    pub(super) fn judge_not_logged(&self, signed: &NotLogged) -> Result<(), ProofLack> {
        self.judge_shown(&signed.identity().instance, &[], signed.timestamps())
    }

    /// What of a signature is missing that shows nothing but its certificate.
    pub(super) fn judge_time_not_proven(&self, instance: &str) -> Result<(), ProofLack> {
        self.judge_instance(instance)
    }

    /// What of a signature is missing that a key of its owner's keeping made.
    pub(super) fn judge_stated(&self) -> Result<(), ProofLack> {
        if self.proof.is_none() { Ok(()) } else { Err(ProofLack::Key) }
    }

    fn judge_instance(&self, instance: &str) -> Result<(), ProofLack> {
        if self.instances.is_empty() || self.instances.iter().any(|name| name == instance) {
            return Ok(());
        }
        Err(ProofLack::Instance { found: instance.to_owned(), wanted: self.instances.clone() })
    }

    fn judge_shown(
        &self,
        instance: &str,
        entries: &[ProvenEntry],
        timestamps: &[ProvenTimestamp],
    ) -> Result<(), ProofLack> {
        self.judge_instance(instance)?;
        let counts = |name: &str, list: &[String]| list.is_empty() || list.iter().any(|other| other == name);
        let logged: Vec<&ProvenEntry> =
            entries.iter().filter(|entry| counts(&entry.log, &self.logs)).collect();
        let is_stamped =
            timestamps.iter().any(|timestamp| counts(&timestamp.authority, &self.timestamp_authorities));
        let needs_log = match self.proof {
            None => self.not_logged == Permission::Refuse || !entries.is_empty(),
            Some(proof) => proof != Proof::Timestamp,
        };
        if needs_log && logged.is_empty() {
            let found = entries.iter().map(|entry| entry.log.clone()).collect();
            return Err(ProofLack::Log { found, wanted: self.logs.clone() });
        }
        let needs_timestamp = matches!(self.proof, Some(Proof::Both | Proof::Timestamp));
        if needs_timestamp && !is_stamped {
            let found = timestamps.iter().map(|timestamp| timestamp.authority.clone()).collect();
            return Err(ProofLack::Timestamp { found, wanted: self.timestamp_authorities.clone() });
        }
        // A log that does not promise a time with its own key proves none.
        if is_stamped || logged.iter().any(|entry| entry.signed_entry_timestamp) {
            return Ok(());
        }
        Err(ProofLack::Time)
    }

    /// Each demand that is made, in order, for a digest.
    pub(super) fn canonical(&self) -> Vec<Vec<u8>> {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        if let Some(proof) = self.proof {
            fields.push(format!("proof {}", proof.name()).into_bytes());
        }
        for (name, permission) in [("not logged", self.not_logged), ("time not proven", self.time_not_proven)]
        {
            if permission == Permission::Allow {
                fields.push(name.into());
            }
        }
        let lists = [&self.instances, &self.logs, &self.timestamp_authorities];
        for (key, list) in ["instances", "logs", "timestamp authorities"].into_iter().zip(lists) {
            if !list.is_empty() {
                let mut list = list.clone();
                list.sort();
                fields.extend([key.into(), (list.len() as u64).to_be_bytes().to_vec()]);
                fields.extend(list.into_iter().map(String::into_bytes));
            }
        }
        fields
    }
}

impl Proof {
    /// The word for it in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Log => "log",
            Self::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for ProofLack {
    /// Fit for a terminal; follows the signer.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String], nothing: &str| match names {
            [] => nothing.to_owned(),
            names => {
                let quoted: Vec<String> = names.iter().map(|name| format!("'{}'", escape(name))).collect();
                quoted.join(" or ")
            }
        };
        match self {
            Self::Instance { found, wanted } => write!(
                formatter,
                "'{}' vouches, where only {} counts",
                escape(found),
                list(wanted, "no instance")
            ),
            Self::Key => write!(formatter, "nothing proves when it was made, and the rule asks for proof"),
            Self::Log { found, wanted } => write!(
                formatter,
                "it shows an entry in {}, where one in {} has to be",
                list(found, "no log"),
                list(wanted, "a log")
            ),
            Self::Time => write!(formatter, "nothing that counts here proves when it was made"),
            Self::Timestamp { found, wanted } => write!(
                formatter,
                "it has a timestamp by {}, where one by {} has to be",
                list(found, "no authority"),
                list(wanted, "an authority")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(log: &str, signed_entry_timestamp: bool) -> ProvenEntry {
        ProvenEntry {
            log: log.to_owned(),
            index: 0,
            signed_entry_timestamp,
            inclusion_proof: true,
            embedded: true,
        }
    }

    fn stamp(authority: &str) -> ProvenTimestamp {
        ProvenTimestamp { authority: authority.to_owned(), seconds: 0 }
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_demand_is_met_or_named() {
        let (l1, l2) = (entry("l1", true), entry("l2", true));
        let (t1, t2) = (stamp("t1"), stamp("t2"));
        let plain = Demands::default();
        let proof = |proof| Demands { proof: Some(proof), ..Demands::default() };
        let logs = Demands { logs: names(&["l1"]), ..Demands::default() };
        let authorities = |demands| Demands { timestamp_authorities: names(&["t1"]), ..demands };
        let unlogged = Demands { not_logged: Permission::Allow, ..Demands::default() };
        let log = |found: &[&str], wanted: &[&str]| {
            Err(ProofLack::Log { found: names(found), wanted: names(wanted) })
        };
        let timestamp = |found: &[&str], wanted: &[&str]| {
            Err(ProofLack::Timestamp { found: names(found), wanted: names(wanted) })
        };
        let v2 = entry("l1", false);
        for (demands, entries, stamps, expected) in [
            (&plain, vec![&l1], vec![], Ok(())),
            (&plain, vec![&v2], vec![&t1], Ok(())),
            (&plain, vec![&v2], vec![], Err(ProofLack::Time)),
            (&plain, vec![], vec![&t1], log(&[], &[])),
            (&unlogged, vec![], vec![&t1], Ok(())),
            (&unlogged, vec![&l1], vec![], Ok(())),
            (&proof(Proof::Log), vec![&l1], vec![], Ok(())),
            (&proof(Proof::Log), vec![], vec![&t1], log(&[], &[])),
            (&proof(Proof::Timestamp), vec![], vec![&t1], Ok(())),
            (&proof(Proof::Timestamp), vec![&l1], vec![&t1], Ok(())),
            (&proof(Proof::Timestamp), vec![&l1], vec![], timestamp(&[], &[])),
            (&proof(Proof::Both), vec![&l1], vec![&t1], Ok(())),
            (&proof(Proof::Both), vec![&l1], vec![], timestamp(&[], &[])),
            (&proof(Proof::Both), vec![], vec![&t1], log(&[], &[])),
            (&logs, vec![&l1, &l2], vec![], Ok(())),
            (&logs, vec![&l2], vec![], log(&["l2"], &["l1"])),
            (&logs, vec![&v2, &l2], vec![], Err(ProofLack::Time)),
            (&logs, vec![&v2, &l2], vec![&t1], Ok(())),
            (&authorities(proof(Proof::Timestamp)), vec![], vec![&t2, &t1], Ok(())),
            (&authorities(proof(Proof::Timestamp)), vec![], vec![&t2], timestamp(&["t2"], &["t1"])),
            (&authorities(plain.clone()), vec![&v2], vec![&t2], Err(ProofLack::Time)),
            (&authorities(plain.clone()), vec![&l1], vec![&t2], Ok(())),
            (&authorities(unlogged.clone()), vec![], vec![&t2], Err(ProofLack::Time)),
        ] {
            let entries: Vec<ProvenEntry> = entries.into_iter().cloned().collect();
            let stamps: Vec<ProvenTimestamp> = stamps.into_iter().cloned().collect();
            assert_eq!(
                demands.judge_shown("i", &entries, &stamps),
                expected,
                "{demands:?} {entries:?} {stamps:?}"
            );
        }
    }

    #[test]
    fn another_instance_and_a_key_of_ones_own_prove_nothing() {
        let demands = Demands { instances: names(&["work"]), ..Demands::default() };
        let lack = demands.judge_shown("public-good", &[entry("l", true)], &[]).unwrap_err();
        assert_eq!(lack, demands.judge_time_not_proven("public-good").unwrap_err());
        assert_eq!(lack.to_string(), "'public-good' vouches, where only 'work' counts");
        assert_eq!(demands.judge_time_not_proven("work"), Ok(()));
        assert_eq!(demands.judge_stated(), Ok(()), "it has no instance");
        let demands = Demands { proof: Some(Proof::Log), ..Demands::default() };
        assert_eq!(demands.judge_stated(), Err(ProofLack::Key));
    }
}
