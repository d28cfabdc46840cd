#!/bin/sh
# Makes a package of this source tree: 'deb' for Debian (needs cargo-deb) or 'rpm' (needs cargo-generate-rpm).
# What is in it stands in Cargo.toml.
set -eu

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 64
}

case ${1-} in
    deb) tool=cargo-deb ;;
    rpm) tool=cargo-generate-rpm ;;
    *) fail "no kind of package is named" "run 'installers/package.sh deb' or 'installers/package.sh rpm'" ;;
esac
command -v "$tool" >/dev/null || fail "'$tool' is not installed" "run 'cargo install --locked $tool'"

cd "$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)"
# Without the embedded authority, which is for trials and tests.
cargo build --locked --release --no-default-features --features pkcs11
# A program without the authority writes no pages about it.
rm -rf target/man
mkdir -p target/man target/completions
target/release/countersign manual target/man
cp man/*.5 target/man
target/release/countersign completions bash >target/completions/countersign.bash
target/release/countersign completions zsh >target/completions/_countersign
target/release/countersign completions fish >target/completions/countersign.fish
case $1 in
    deb) cargo deb --no-build ;;
    rpm) cargo generate-rpm ;;
esac
