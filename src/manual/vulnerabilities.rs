//! Past vulnerabilities of the field, and the countermeasure here.
//!
//! `#N` is an issue of sigstore/gitsign. Each test that is named stands in `src` or `tests`; a test of
//! the documentation holds this list and the tests together.
//!
//! # Whose keys, and whose evidence
//!
//! * **CVE-2023-47122** (GHSA-xvrc-2wvh-49vc, #399): the log's public key was fetched from the log's own
//!   server, so that a false server vouched for itself. Here keys come from trusted roots alone; the
//!   rooms that verify know no network.
//!   Tests: `cve_2023_47122_a_log_cannot_bring_its_own_key`,
//!   `cve_2023_47122_a_server_whose_keys_are_not_in_the_trusted_root_signs_nothing`,
//!   `cve_2023_47122_no_server_is_asked_for_a_key`.
//! * **CVE-2024-51746** (GHSA-8pmp-678w-c8xx, #584): a search in the log could answer with somebody else's
//!   entry, and it was taken. Here the entry's body is rebuilt from payload digest, signature and
//!   certificate, and only that body can be included.
//!   Tests: `cve_2024_51746_the_entry_is_for_this_payload_signature_and_certificate`,
//!   `cve_2024_51746_an_entry_of_another_signature_does_not_count`.
//! * **#330**: the rebuilt body was not the canonical one, so good signatures failed offline.
//!   Test: `gitsign_330_the_canonical_body_is_rebuilt_byte_for_byte`, and 510 real commits.
//! * **TOB-SIGSTORE-11**: a timestamp counted outside the validity of the authority that made it. Here
//!   each token is bound to its own authority's window.
//!   Test: `tob_sigstore_11_a_token_is_bound_to_its_authoritys_window`.
//! * **#589**: half of all signatures failed when certificate and timestamp fell into one second. Here
//!   both ends of a validity are inside.
//!   Test: `gitsign_589_both_ends_of_a_certificate_are_inside`.
//! * Two trusted roots pooled would let the log of one vouch for the time of a certificate of the
//!   other. Here a signature is judged wholly inside one instance.
//!   Test: `an_expired_certificate_freshly_logged_by_another_instance_is_not_good`.
//! * An inclusion proof proves that an entry is in a log, and not since when.
//!   Test: `an_inclusion_proof_proves_no_time`.
//! * **#729, #850**: signatures with Rekor v2 could be made and not verified. Here a version 2 entry
//!   needs a timestamp token when it is made, and is verified by it.
//!   Tests: `gitsign_729_rekor_v2_under_the_label_of_v1_is_read`,
//!   `gitsign_729_850_rekor_v2_signs_and_verifies_through_git`.
//!
//! # What was signed
//!
//! * **CVE-2026-44309** (GHSA-7rmh-48mx-2vwc, #802) and **CVE-2026-45022** of go-git
//!   (GHSA-389r-gv7p-r3rp): objects went through a lenient parser and were written anew before they were
//!   verified, so git and the verifier saw different commits. Here the payload is slices of the raw
//!   object, and an object that deviates from git's own form is refused.
//!   Tests: `cve_2026_44309_a_duplicate_tree_is_refused`,
//!   `gitsign_802_cve_2026_44309_a_duplicate_tree_is_refused`,
//!   `go_git_cve_2026_45022_a_malformed_object_is_refused_even_if_signed_as_it_is`,
//!   `the_payload_is_the_object_without_its_signature_header`.
//! * Headers that begin with `gpgsig` are left out of what is signed (git's own rule), so a second one can
//!   hold anything (heartwood#20, functionalscript#1903). Here an object with one is refused.
//!   Tests: `heartwood_20_a_second_signature_header_is_refused`,
//!   `functionalscript_1903_a_foreign_signature_header_is_refused`, `an_extra_signature_header_is_refused`.
//! * **#871**: a scanner of lines dropped carriage returns, so two objects shared a payload.
//!   Tests: `gitsign_871_carriage_returns_are_ordinary_bytes`,
//!   `gitsign_871_a_line_of_a_lone_carriage_return_does_not_end_the_headers`,
//!   `gitsign_871_carriage_returns_are_signed_as_they_stand`.
//! * **#317, #318**: the signed digest was not compared with the content.
//!   Tests: `gitsign_317_318_the_digest_is_compared_with_the_content`,
//!   `gitsign_317_318_the_digest_is_computed_and_compared`.
//! * **#810**: the first certificate counted, whoever it was for. Here the signer's own is looked up, and
//!   there is one signer.
//!   Tests: `gitsign_810_the_certificate_is_the_signers_and_not_the_first`,
//!   `gitsign_810_the_certificate_that_counts_is_the_signers`, `there_is_exactly_one_signer`.
//! * **CVE-2026-44310** (GHSA-7c37-gx6w-8vc5, #799): no certificates led to a panic, which was caught, and
//!   the exit status was 0. Here that is an error of its own, a proof is a type that only the verifier
//!   makes, and the program aborts on a panic.
//!   Tests: `cve_2026_44310_an_empty_certificate_bag_is_not_good`,
//!   `gitsign_799_cve_2026_44310_an_empty_certificate_bag_is_refused`,
//!   `an_answer_that_cannot_be_written_is_never_a_good_one`.
//! * **GHSA-h829-5cg7-6hff** (gitverify): an unsigned annotated tag passed because the commit below it was
//!   signed. Here the object that a ref names is judged, and the hook judges each on the way.
//!   Tests: `ghsa_h829_5cg7_6hff_an_unsigned_tag_borrows_no_signature`,
//!   `gitverify_ghsa_h829_an_unsigned_tag_of_a_signed_commit_is_unsigned`,
//!   `tags_are_judged_object_by_object`.
//! * **GHSA-cq38-jh5f-37mq** (sigstore-go): any number of entries and timestamps. Here every size and count
//!   has a bound.
//!   Tests: `ghsa_cq38_jh5f_37mq_oversized_parts_are_not_read`,
//!   `ghsa_cq38_jh5f_37mq_an_oversized_entry_is_not_read`,
//!   `ghsa_cq38_jh5f_37mq_too_many_tokens_are_not_read`, `sigstore_go_ghsa_cq38_sizes_are_bounded`.
//! * **#565, #571, #583**: a user name as subject was an unknown critical extension.
//!   Tests: `gitsign_565_a_username_is_a_subject`, `exactly_one_subject_of_a_known_kind`.
//!
//! # The program around it
//!
//! * **#741, #757**: a browser printed into the signature. Here a browser gets neither of our streams, and
//!   the signature is written once, at the end.
//!   Test: `gitsign_741_757_a_browser_that_talks_writes_nothing_into_the_signature`.
//! * **#240, #142**: configuration was read line by line, so that a value with a line feed in it set
//!   something else. Here git lists it with `-z` and the scope of each value.
//!   Tests: `gitsign_240_a_value_with_line_feeds_injects_no_setting`,
//!   `gitsign_240_a_value_with_line_feeds_sets_nothing_else`,
//!   `gitsign_142_sub_sections_keep_dots_spaces_and_case`,
//!   `gitsign_142_instances_are_sub_sections_with_any_name`.
//! * A repository's own configuration could name servers, and programs to run. Here it is not heard.
//!   Tests: `the_repository_is_not_heard_where_trust_is_at_stake`,
//!   `gitsign_fault_15_a_hostile_repository_changes_nothing_about_signing`,
//!   `gitsign_fault_15_a_hostile_repository_changes_nothing_about_verifying`.
//! * A changed commit looked like one without a signature, because no status line was written.
//!   Tests: `gitsign_fault_4_tampered_is_bad_and_not_unsigned`,
//!   `goodsig_stands_only_where_the_table_says_and_never_first`.
//! * Names from outside could write status lines or move a reader's cursor.
//!   Tests: `a_name_cannot_write_a_status_line`, `hostile_text_is_shown_and_not_obeyed`.
//!
//! # The gate
//!
//! * What is in the repository already was taken as judged: push to a ref that nobody guards, then move
//!   a guarded one there. Here a commit counts only where this gate has accepted it under the same rule.
//!   Tests: `a_bypass_via_an_unprotected_branch_is_refused`,
//!   `the_digest_covers_what_decides_about_commits_and_nothing_else`, `only_what_stands_there_in_full_counts`.
//! * A good tag of an old release, pushed under the name of a new one, passed for it.
//!   Test: `a_tag_teleport_is_refused`.
//! * The pusher says what a ref held before, and may lie; a symbolic ref writes another ref than it names.
//!   Tests: `a_lying_old_value_is_refused`, `a_symbolic_ref_is_judged_under_both_names`.
//! * Replace refs, grafts, and refs of tools change what other objects mean.
//!   Tests: `replace_refs_and_notes_are_refused_whatever_else_is_accepted`,
//!   `grafts_and_replace_refs_of_the_server_hide_nothing`, `reserved_namespaces_need_to_be_named`.
//!
//! # The remote helper
//!
//! * gittuf's helper verified nothing when it fetched: the check was commented out. Here nothing is carried
//!   out of the quarantine before it is judged, and what git could take without asking is judged before it
//!   is listed.
//!   Tests: `an_unsigned_commit_is_refused_once_and_held_from_then_on`,
//!   `an_unsigned_commit_under_a_signed_merge_is_refused`,
//!   `going_back_is_refused_although_git_would_ask_for_no_object`,
//!   `objects_that_are_here_already_vouch_for_nothing`.
//! * **gittuf #505, #634, #657**: the helper hung on remotes that knew nothing of it, and on answers that
//!   came in other pieces than expected. Here git's own transports speak with the remote, and nobody is
//!   waited for without end.
//!   Tests: `a_server_that_stalls_dies_or_answers_nonsense_ends_in_an_error`,
//!   `a_server_that_ends_or_talks_on_during_a_fetch_leaves_nothing`,
//!   `a_child_that_stalls_talks_without_end_or_fails_is_an_error`.
//! * A server serves what it likes to whom it likes: an old value, another history, a moved tag, no tag at
//!   all. Here what was accepted once is remembered outside of the clone, for every clone of the address.
//!   Tests: `another_history_is_refused_and_a_permitted_rewind_is_not`,
//!   `a_moved_a_renamed_and_a_lightweight_tag_are_refused`,
//!   `a_ref_that_may_not_be_deleted_stays_when_git_prunes`,
//!   `a_policy_that_goes_back_goes_away_or_is_another_one_ends_everything`.
//! * **CVE-2017-1000117** of git and its kin: an address whose host begins with a dash is an option to ssh;
//!   and a helper in a helper's address is a way around `protocol.ext.allow`.
//!   Tests: `hostile_addresses_start_nothing`, `the_inner_transport_is_held_to_gits_own_rules`,
//!   `submodules_go_by_the_same_rules`.
//! * `url.*.insteadOf` applied to the inner address led back to the helper, or elsewhere.
//!   Tests: `instead_of_leads_to_the_helper_once`, `the_address_is_replaced_once_and_by_nothing_else`,
//!   `no_setting_of_the_repository_leads_a_push_elsewhere`.
//! * What one pushes onto something that nobody judged would have vouched for it.
//!   Test: `what_is_pushed_onto_something_that_was_never_accepted_vouches_for_nothing`.
