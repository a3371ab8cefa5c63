#!/usr/bin/env bash
# Runs the benches of docs/benchmarks.md one after the other, with the release
# build that is there. Reports (JSON) and tables (Markdown) go to target/bench.
# Without arguments all of them: push fcm mixed intake email mails live. The
# machine should have nothing else to do.
set -euo pipefail

cd "$(dirname "$0")/.."
build=${CARGO_TARGET_DIR:-target}/release
out=target/bench
loadtest=$build/araldo-loadtest
mkdir -p "$out"

bench() {
  local name=$1
  shift
  echo "== $name: bench $*"
  "$loadtest" bench "$@" --araldo "$build/araldo" --json "$out/$name.json"
  "$loadtest" bench table "$out/$name.json" >"$out/$name.md"
}

for name in "${@:-push fcm mixed intake email mails live}"; do
  for one in $name; do
    case $one in
      push) bench push push ;;
      fcm) bench fcm push --provider fcm ;;
      mixed) bench mixed mixed ;;
      intake) bench intake intake ;;
      email) bench email email --alert --messages 200000 ;;
      mails) bench mails email ;;
      live) bench live live --kill ;;
      *)
        echo "no bench is called $one: push fcm mixed intake email mails live" >&2
        exit 1
        ;;
    esac
  done
done
