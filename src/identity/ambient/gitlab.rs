//! GitLab CI/CD: the job declares `id_tokens`, and finds each token in the variable that it chose.
//!
//! By the custom of Sigstore's clients that variable is called after the audience: `SIGSTORE_ID_TOKEN`.

use super::Variables;

pub(super) const NAME: &str = "GitLab CI/CD";

/// Whether a job of GitLab's runs here.
pub(super) fn is_here(variables: &Variables) -> bool {
    variables.get("GITLAB_CI").is_some()
}

/// The variable with the token for `audience`: in capitals, whatever no variable may have as `_`.
pub(super) fn variable(audience: &str) -> String {
    let mut name: String = audience
        .chars()
        .map(|character| match character.to_ascii_uppercase() {
            plain if plain.is_ascii_alphanumeric() => plain,
            _ => '_',
        })
        .collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.replace_range(..1, "_");
    }
    name + "_ID_TOKEN"
}
