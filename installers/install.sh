#!/bin/sh
# Installs countersign from this source tree: programs, manual pages, shell completions and the units of the agent.
set -eu
# Under a prefix for everybody it is for everybody, whatever whoever installs it keeps to themselves.
umask 022

usage() {
    cat <<'USAGE'
Usage: installers/install.sh [--prefix DIR] [--no-sandbox] [--dry-run] [--uninstall]

  --prefix DIR   where to install to [default: ~/.local]
  --no-sandbox   leave out the embedded authority for trials and tests
  --dry-run      only print what would be done
  --uninstall    remove what was installed under the prefix
USAGE
}

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 64
}

prefix=${HOME:-}/.local
sandbox=yes
dry_run=no
uninstall=no
while [ "$#" -gt 0 ]; do
    case $1 in
        --prefix)
            [ "$#" -gt 1 ] || fail "'--prefix' needs a directory" "see 'installers/install.sh --help'"
            prefix=$2
            shift
            ;;
        --prefix=*) prefix=${1#--prefix=} ;;
        --no-sandbox) sandbox=no ;;
        --dry-run) dry_run=yes ;;
        --uninstall) uninstall=yes ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) fail "unknown option '$1'" "see 'installers/install.sh --help'" ;;
    esac
    shift
done
case $prefix in
    /*) ;;
    ?*) prefix=$PWD/$prefix ;;
    *) fail "the prefix is empty" "name a directory with '--prefix'" ;;
esac

source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
program=$prefix/bin/countersign
share=$prefix/share
bash_completion=$share/bash-completion/completions/countersign
zsh_completion=$share/zsh/site-functions/_countersign
fish_completion=$share/fish/vendor_completions.d/countersign.fish
case $(uname -s) in
    Darwin) units=countersign.plist units_to=$share/countersign ;;
    *) units='countersign.socket countersign.service' units_to=$share/systemd/user ;;
esac

# Installs the unit $1, with the program where it is installed; what systemd, XML and sed take for themselves in a
# path is escaped.
install_unit() {
    printf "sed 's|/usr/bin/countersign|%s|' %s >%s\n" "$program" "$source/installers/units/$1" "$units_to/$1"
    [ "$dry_run" = yes ] && return
    mkdir -p -- "$units_to"
    case $1 in
        *.plist) own='s/&/\&amp;/g; s/</\&lt;/g' ;;
        *) own='s/%/%%/g' ;;
    esac
    escaped=$(printf '%s\n' "$program" | sed "$own" | sed 's/[&\\|]/\\&/g')
    sed "s|/usr/bin/countersign|$escaped|" "$source/installers/units/$1" >"$units_to/$1"
}

# Where the manual page in the file $1 goes to.
page_target() {
    printf '%s/man/man%s/%s\n' "$share" "${1##*.}" "$(basename -- "$1")"
}

# Whether the manual page in the file $1 is installed: pages of a part that is left out are not.
page_wanted() {
    case $(basename -- "$1") in
        countersign-sandbox*) [ "$sandbox" = yes ] || [ "$uninstall" = yes ] ;;
        *) true ;;
    esac
}

# Prints a command, and runs it unless this is a dry run.
run() {
    printf '%s\n' "$*"
    [ "$dry_run" = yes ] || "$@"
}

remove() {
    if [ "$dry_run" = yes ] || [ -e "$1" ]; then
        run rm -f -- "$1"
    fi
}

complete_for() {
    printf 'countersign completions %s >%s\n' "$1" "$2"
    [ "$dry_run" = yes ] && return
    mkdir -p -- "$(dirname -- "$2")"
    "$program" completions "$1" >"$2"
}

if [ "$uninstall" = yes ]; then
    for page in "$source"/man/*.[15]; do
        remove "$(page_target "$page")"
    done
    # Those that an earlier version had besides.
    for page in "$share"/man/man1/countersign-*.1 "$share"/man/man5/countersign-*.5; do
        [ ! -e "$page" ] || remove "$page"
    done
    remove "$bash_completion"
    remove "$zsh_completion"
    remove "$fish_completion"
    for unit in $units; do
        remove "$units_to/$unit"
    done
    run cargo uninstall --root "$prefix" countersign
    exit 0
fi

set -- install --locked --path "$source" --root "$prefix"
[ "$sandbox" = yes ] || set -- "$@" --no-default-features --features pkcs11
run cargo "$@"
run mkdir -p -- "$share/man/man1" "$share/man/man5"
for page in "$source"/man/*.[15]; do
    if page_wanted "$page"; then
        run cp -- "$page" "$(page_target "$page")"
    fi
done
complete_for bash "$bash_completion"
complete_for zsh "$zsh_completion"
complete_for fish "$fish_completion"
for unit in $units; do
    install_unit "$unit"
done
case :${PATH:-}: in
    *:"$prefix/bin":*) ;;
    *) printf "hint: add '%s' to PATH\n" "$prefix/bin" ;;
esac
[ "$dry_run" = yes ] || printf "installed '%s'; 'countersign init' sets git up to use it\n" "$program"
