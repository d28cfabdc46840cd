//! The profile of a keyless git signature: which CMS is one, and where its parts are.
