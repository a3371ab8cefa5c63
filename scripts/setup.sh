#!/usr/bin/env bash
# Installs what building and testing Araldo need on Debian, if it is missing:
# a C compiler (for the TLS library), Node.js (for the contract test) and Postfix
# (for the mail tests and the e-mail bench, which run one of their own; the
# system's is not used), Chromium with a font for the citizen page's tests, and
# Prometheus (for the dashboards' test, which runs one of its own).
# The Rust toolchain comes by rustup, from rust-toolchain.toml.
set -euo pipefail

missing=()
prometheus=()

# Prometheus is only a program here: its service is masked before the package
# comes, so that neither the installation nor the next boot starts it. A service
# that is there already is somebody's, and left alone.
install_prometheus() {
  local unit=/etc/systemd/system/prometheus.service policy=/usr/sbin/policy-rc.d
  mkdir -p "$(dirname "$unit")"
  [ -e "$unit" ] || [ -L "$unit" ] || ln -s /dev/null "$unit"
  # Without systemd the package would start it by its init script.
  if [ ! -e "$policy" ]; then
    trap "rm -f '$policy'" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus
  if [ ! -d /run/systemd/system ] && command -v update-rc.d >/dev/null; then
    update-rc.d prometheus disable
  fi
}

command -v cc >/dev/null || missing+=(build-essential)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ -x /usr/sbin/postfix ] || missing+=(postfix)
redis=
command -v redis-server >/dev/null && command -v redis-cli >/dev/null || redis=redis-server
missing+=($redis)
[ -x /usr/bin/chromium ] || missing+=(chromium fonts-liberation)
# Asked for apart: its package starts a service and recommends another one.
[ -x /usr/bin/prometheus ] && [ -x /usr/bin/promtool ] || prometheus=(prometheus)

if [ $((${#missing[@]} + ${#prometheus[@]})) -gt 0 ]; then
  echo "installing: ${missing[*]} ${prometheus[*]}"
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
  if [ ${#prometheus[@]} -gt 0 ]; then
    install_prometheus
  fi
fi

command -v cargo >/dev/null || {
  echo "cargo is missing: install Rust with rustup (https://rustup.rs)" >&2
  exit 1
}
