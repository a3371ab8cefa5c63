#!/usr/bin/env bash
# Plays a rolling upgrade under load: three nodes of the version before, on one
# Redis, each ended with SIGTERM and started again as the present version. Nothing
# may be lost and nothing repeated.
#
#   scripts/rolling-upgrade.sh [REVISION] [ARGUMENTS...]
#
# REVISION is the version before: a tag or a commit; by default the newest tag
# before HEAD. It is built from a worktree of its own, in target/previous, and
# stays there for the next time. ARGUMENTS go to `araldo-loadtest experiment
# rolling` (--help says which there are). Needs Debian's redis-server.
set -euo pipefail

cd "$(dirname "$0")/.."
nodes=3
revision=${1:-}
shift || true
if [ -z "$revision" ]; then
  if ! revision=$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null); then
    echo "rolling-upgrade: there is no tag before HEAD: name the version before" >&2
    exit 2
  fi
fi
if ! commit=$(git rev-parse --verify --quiet "$revision^{commit}"); then
  echo "rolling-upgrade: no such revision: $revision" >&2
  exit 2
fi
if ! git show "$commit:config/default.toml" | grep -q '^redis_url = '; then
  echo "rolling-upgrade: $revision knows no store in Redis: nodes of it cannot share one" >&2
  exit 2
fi

previous=$PWD/target/previous
source=$previous/source-$commit
before=$previous/araldo-$commit
mkdir -p "$previous"
if [ ! -x "$before" ]; then
  echo "== building $revision"
  trap 'git worktree remove --force "$source" 2>/dev/null || true' EXIT
  git worktree add --force --detach "$source" "$commit"
  cargo build --release --locked --manifest-path "$source/Cargo.toml" --bin araldo \
    --target-dir "$previous/build"
  cp "$previous/build/release/araldo" "$before"
fi
echo "== building the present version"
cargo build --release --locked --workspace --bins
build=${CARGO_TARGET_DIR:-$PWD/target}/release

# What the load tester starts as a node: the first three starts are those of the
# version before, all later ones of the present.
starts=$(mktemp -d)
trap 'rm -rf "$starts"; git worktree remove --force "$source" 2>/dev/null || true' EXIT
cat >"$starts/araldo" <<END
#!/bin/sh
if [ "\$1" = serve ]; then
  for start in $(seq -s ' ' "$nodes"); do
    mkdir "$starts/\$start" 2>/dev/null && exec "$before" "\$@"
  done
fi
exec "$build/araldo" "\$@"
END
chmod +x "$starts/araldo"

mkdir -p target/bench
echo "== $revision ($("$before" --version)), then $("$build/araldo" --version)"
"$build/araldo-loadtest" experiment rolling --araldo "$starts/araldo" \
  --json target/bench/rolling-upgrade.json "$@"
