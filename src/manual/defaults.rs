//! What holds where nobody has said anything, and why.
//!
//! * **Nobody is trusted.** A proven signature without a policy is "proven", and to git `U`. That somebody
//!   signed says little; who may sign is a decision. No identity is guessed from the committer line:
//!   whoever signs writes that line.
//! * **Verification asks no server.** Whatever a server could add, an attacker between could add too, or
//!   withhold. What is needed stands in the signature, at the price of 3 to 4 KiB a commit.
//! * **The public instance is built in**, and no other. Its trusted root is part of the program: a first
//!   use needs no network, and a false root needs a false program. Until there are updates, a rotation of
//!   its keys needs a new version.
//! * **Rekor version 1 where it is on offer**, since every gitsign can verify it. Version 2 needs a
//!   timestamp, for it states no time itself.
//! * **A proven time may lie 5 minutes ahead** of the clock, because clocks differ. The clock decides
//!   besides only where a policy ends a key that proves no time: old signatures stay good.
//! * **A stated time opens nothing.** Whoever holds a key chooses it. Whether a signature by a key that is
//!   retired or stolen is from before shows by when it was received: a hook's clock, or an anchor that the
//!   policy's owner vouches for.
//! * **Everything in a policy is refused that it does not allow**: creating, deleting and rewinding refs,
//!   and every unusual tag. `other_refs` has no default at all, because either one would surprise someone.
//! * **No patterns where none is written.** A pattern is right until somebody registers a name that it
//!   matches too, so what is printed for pasting has none, issuers know none, a `*` crosses neither `/` nor
//!   `@`, and builds are named by repository and ref besides.
//! * **A forge's web key is nobody's.** It signs for whoever is logged in, or has stolen a session there.
//! * **The first rule decides**, so that a file can be read from top to bottom, and what a rule says of a
//!   ref does not depend on the rest.
//! * **Trusted roots are pinned at installation.** A policy is edited often and by more hands than the
//!   hook; which keys count changes only when somebody who may write the hook says so.
//! * **A hook that cannot judge refuses.** An open gate is noticed by nobody, a closed one at once.
//! * **Protected configuration only.** A cloned repository is somebody else's text. What makes a check
//!   stricter (`matchCommitter`) may stand anywhere.
//! * **A repository's own policy decides nothing until it is pinned.** Whoever can push could write one. The
//!   pin is the user's, vouches for one commit, and each later policy has to follow from the one before;
//!   where one does not, there is none, rather than an older one that nobody is told of.
//! * **A file goes before every pin.** A repository cannot choose a pinned policy, by what it holds, where
//!   the machine or the user has said which one counts everywhere.
//! * **The signature is verified before it is written**, by the same engine that will judge it later: what
//!   nobody could verify is worse than an error now.
//! * **The sandbox is part of the default build**, because trying comes before trusting; packages for
//!   servers leave it out (`--no-default-features`).
//! * **A refused ref is held, and the others move.** A fetch that fails for good because of one branch would
//!   soon be made without verification. The first refusal fails, each later fetch says which refs are held,
//!   and `countersign.held` can make it fail every time.
//! * **What was accepted from a remote once stays accepted**, as in a repository with a hook: a policy that
//!   names somebody no longer does not undo what they signed while it did.
