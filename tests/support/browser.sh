#!/bin/bash
# Plays the browser for tests: follows redirects, and keeps a list of what it was given in 'opened' beside it. A file
# beside it says how it behaves: 'slow' waits, 'hang' never answers, 'deny' says no, 'kill' ends the process whose
# number is in it.
here="$(dirname "$0")"
url="$1"
echo "$url" >>"$here/opened"
[ -e "$here/slow" ] && sleep "$(cat "$here/slow")"
[ -e "$here/kill" ] && kill -9 "$(cat "$here/kill")"
[ -e "$here/hang" ] && exit 0
if [ -e "$here/deny" ]; then
  redirect="${url##*redirect_uri=}"; redirect="${redirect%%&*}"; redirect="$(printf '%b' "${redirect//%/\\x}")"
  state="${url##*state=}"; state="${state%%&*}"
  url="$redirect?error=access_denied&state=$state"
fi
for _ in 1 2 3 4 5; do
  rest="${url#http://}"; host="${rest%%/*}"; path="/${rest#*/}"; port="${host##*:}"
  exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
  printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$path" "$host" >&3
  url=""
  while IFS= read -r line <&3; do
    line="${line%$'\r'}"
    [ -z "$line" ] && break
    case "$line" in
      [Ll]ocation:\ *) url="${line#*: }" ;;
    esac
  done
  cat <&3 >/dev/null
  exec 3>&-
  [ -z "$url" ] && exit 0
done
