#!/usr/bin/env bash
# Runs the fault experiments with several nodes over Redis at full size, one
# after the other, with the release build that is there: about an hour and a
# half. Reports (JSON), tables (Markdown) and steps (log) go to
# target/experiments. Without arguments all of them: kills alert-kills zombies
# redis-restarts failover power-cut power-cut-everysec rolling scaling cost. The
# machine should have nothing else to do. Exit code 1 when one does not hold;
# the others run all the same.
set -euo pipefail

cd "$(dirname "$0")/.."
build=${CARGO_TARGET_DIR:-target}/release
out=target/experiments
loadtest=$build/araldo-loadtest
mkdir -p "$out"
failed=()

experiment() {
  local name=$1
  shift
  echo "== $name: experiment $*"
  rm -f "$out/$name.json"
  "$loadtest" experiment "$@" --araldo "$build/araldo" --json "$out/$name.json" \
    2> >(tee "$out/$name.log" >&2) || failed+=("$name")
  [ ! -e "$out/$name.json" ] || "$loadtest" experiment table "$out/$name.json" >"$out/$name.md"
}

for name in "${@:-kills alert-kills zombies redis-restarts failover power-cut power-cut-everysec rolling scaling cost}"; do
  for one in $name; do
    case $one in
      kills | alert-kills | zombies | redis-restarts | failover | power-cut | rolling | scaling | cost)
        experiment "$one" "$one"
        ;;
      power-cut-everysec) experiment "$one" power-cut --every-second ;;
      *)
        echo "no experiment is called $one; see the head of this file" >&2
        exit 1
        ;;
    esac
  done
done

if [ ${#failed[@]} -gt 0 ]; then
  echo "do not hold: ${failed[*]}" >&2
  exit 1
fi
