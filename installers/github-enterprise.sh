#!/bin/sh
# Makes what GitHub Enterprise Server asks for to run a pre-receive hook of one's own: the environment, a tarball
# whose root the hook runs in, with this program, the policy and all that it names; and the script.
#
# The appliance unpacks the tarball once and runs the hook in it as an unprivileged user, with five seconds for
# all hooks together. Made anew and uploaded again, it brings a new policy.
set -eu

usage() {
    cat <<'USAGE'
Usage: installers/github-enterprise.sh --policy DIR --host NAME [--program FILE] [--output DIR]

  --policy DIR    a folder with policy.toml and the files that it names
  --host NAME     the appliance's name, as the policy's identities name it under 'forge_users'
  --program FILE  the program to put in [default: countersign as PATH finds it]; for the appliance's processor
  --output DIR    where to write 'environment.tar.gz' and 'pre-receive.sh' [default: the current directory]
USAGE
}

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 64
}

policy=
host=
program=$(command -v countersign || :)
output=.
while [ "$#" -gt 0 ]; do
    case $1 in
        --policy | --host | --program | --output)
            [ "$#" -gt 1 ] || fail "'$1' needs a value" "see 'installers/github-enterprise.sh --help'"
            case $1 in
                --policy) policy=$2 ;;
                --host) host=$2 ;;
                --program) program=$2 ;;
                --output) output=$2 ;;
            esac
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) fail "unknown option '$1'" "see 'installers/github-enterprise.sh --help'" ;;
    esac
    shift
done
[ -f "$policy/policy.toml" ] || fail "there is no '$policy/policy.toml'" "name the folder with '--policy'"
[ -x "$program" ] || fail "there is no program '$program'" "name it with '--program'"
case $host in
    '' | *[!A-Za-z0-9.-]*) fail "'$host' is no host name" "name the appliance with '--host'" ;;
esac
"$program" policy check "$policy/policy.toml" --forge "github=$host" ||
    fail "the policy cannot be used as it is, or says what cannot be met there" "mend what 'countersign policy check' names"

# The hook runs in there as another user than the one who makes it.
umask 022
root=$(mktemp -d "${TMPDIR:-/tmp}/countersign.XXXXXX")
trap 'rm -rf "$root"' EXIT HUP INT TERM

# It stands in the script until it is taken out of it.
case $root in
    *\'*) fail "'$root' cannot be written into a script" "name another folder with 'TMPDIR'" ;;
esac

# Puts the program $1 at $2 in the root, with the libraries that it is linked to.
put() {
    mkdir -p "$root$(dirname "$2")"
    cp -L "$1" "$root$2"
    ldd "$1" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | while read -r library; do
        [ -e "$root$library" ] && continue
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}

for name in sh env cat mkdir mktemp rm git; do
    put "$(command -v "$name")" "/bin/$name"
done
put "$program" /usr/bin/countersign
mkdir -p "$root/usr/bin" "$root/etc/countersign" "$root/tmp" "$root/dev" "$root/proc"
ln -s /bin/env "$root/usr/bin/env"
ln -s /bin/git "$root/usr/bin/git"
chmod 1777 "$root/tmp"
cp -R "$policy/." "$root/etc/countersign/"

# The script is the one that every repository of a server would have, with the paths that it sees in there.
"$program" hook install --hooks-path "$root/hooks" --policy "$root/etc/countersign/policy.toml" \
    --state "$root/tmp/countersign" --program "$root/usr/bin/countersign" \
    --time-limit 4 --audit off --no-ledger --forge "github=$host" >/dev/null
mkdir -p "$output"
# What a pattern takes for itself in the folder's name is escaped.
pattern=$(printf '%s\n' "$root" | sed 's/[].[*^$|\\]/\\&/g')
sed "s|$pattern||g" "$root/hooks/pre-receive" >"$output/pre-receive.sh"
chmod 755 "$output/pre-receive.sh"
rm -rf "$root/hooks" "$root/tmp/countersign"
# 'mktemp' has made it for one user alone, and an archive keeps that.
chmod 755 "$root"
tar -C "$root" --numeric-owner --owner=0 --group=0 -czf "$output/environment.tar.gz" .
printf "wrote '%s' and '%s'\n" "$output/environment.tar.gz" "$output/pre-receive.sh"
