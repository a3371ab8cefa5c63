#!/usr/bin/env bash
# Installs what building and testing Araldo need on Debian, if it is missing:
# a C compiler (for the TLS library), Node.js (for the contract test) and Postfix
# (for the mail tests and the e-mail bench, which run one of their own; the
# system's is not used), and Chromium with a font for the citizen page's tests.
# The Rust toolchain comes by rustup, from rust-toolchain.toml.
set -euo pipefail

missing=()
command -v cc >/dev/null || missing+=(build-essential)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ -x /usr/sbin/postfix ] || missing+=(postfix)
[ -x /usr/bin/chromium ] || missing+=(chromium fonts-liberation)

if [ ${#missing[@]} -gt 0 ]; then
  echo "installing: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    echo "run as root, or install them yourself and try again" >&2
    exit 1
  fi
  apt-get update -qq
  # Postfix is only a program here: the machine gets no mail server.
  echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"
fi

command -v cargo >/dev/null || {
  echo "cargo is missing: install Rust with rustup (https://rustup.rs)" >&2
  exit 1
}
