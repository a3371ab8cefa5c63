#!/usr/bin/env bash
# Installs what building and testing Araldo need on Debian, if it is missing:
# a C compiler (for the TLS library), Node.js (for the contract test) and Postfix
# (for the mail tests and the e-mail bench, which run one of their own; the
# system's is not used), Chromium with a font for the citizen page's tests,
# h2load (for the push bench), Prometheus (for the dashboards' test), Redis with
# its Sentinel and tools (for the tests of the store and the intake bench; tests
# and benches run ones of their own), and strace (for the power cuts of Redis).
# The Rust toolchain comes by rustup, from rust-toolchain.toml.
set -euo pipefail

missing=()
servers=()

# Prometheus and Redis are only programs here: their service is masked before
# the package comes, so that neither the installation nor the next boot starts
# it. A service that is there already is somebody's, and left alone.
install_server() {
  local package=$1 unit=/etc/systemd/system/$1.service policy=/usr/sbin/policy-rc.d
  mkdir -p "$(dirname "$unit")"
  [ -e "$unit" ] || [ -L "$unit" ] || ln -s /dev/null "$unit"
  # Without systemd the package would start it by its init script.
  if [ ! -e "$policy" ]; then
    trap "rm -f '$policy'" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"
  if [ ! -d /run/systemd/system ] && command -v update-rc.d >/dev/null; then
    update-rc.d "$package" disable
  fi
}

command -v cc >/dev/null || missing+=(build-essential)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ -x /usr/sbin/postfix ] || missing+=(postfix)
[ -x /usr/bin/chromium ] || missing+=(chromium fonts-liberation)
command -v h2load >/dev/null || missing+=(nghttp2-client)
command -v strace >/dev/null || missing+=(strace)
command -v redis-cli >/dev/null && command -v redis-benchmark >/dev/null || missing+=(redis-tools)
# Asked for apart: these packages start a service and recommend others.
[ -x /usr/bin/prometheus ] && [ -x /usr/bin/promtool ] || servers+=(prometheus)
command -v redis-server >/dev/null || servers+=(redis-server)
command -v redis-sentinel >/dev/null || servers+=(redis-sentinel)

if [ $((${#missing[@]} + ${#servers[@]})) -gt 0 ]; then
  echo "installing: ${missing[*]} ${servers[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    echo "run as root, or install them yourself and try again" >&2
    exit 1
  fi
  apt-get update -qq
  # Postfix is only a program here: the machine gets no mail server.
  echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
  if [ ${#missing[@]} -gt 0 ]; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"
  fi
  for server in "${servers[@]}"; do
    install_server "$server"
  done
fi

command -v cargo >/dev/null || {
  echo "cargo is missing: install Rust with rustup (https://rustup.rs)" >&2
  exit 1
}
