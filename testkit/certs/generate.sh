#!/usr/bin/env bash
# Generates the certificates of the tests: testkit/certs/generate.sh [DIRECTORY]
#
#   ca          an authority that the tests trust
#   server      for localhost, example.com, 127.0.0.1 and ::1
#   renewed     the same names, another key
#   expired     the same names, expired in 2021
#   other       for other.example
#   client      a client's certificate for "alice"
#   self-signed for localhost, signed by itself
#
# The keys are public, so nothing else may trust them.
set -euo pipefail
cd "${1:-$(dirname "$0")}"

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }

NAMES=DNS:localhost,DNS:example.com,IP:127.0.0.1,IP:::1
database=$(mktemp -d)
trap 'rm -r "$database"' EXIT
touch "$database/index.txt"
cat >"$database/ca.cnf" <<CONFIG
[ca]
default_ca = tests
[tests]
database = $database/index.txt
new_certs_dir = $database
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
CONFIG

# Signs a certificate with its own key: NAME COMMON-NAME EXTENSION...
sign_itself() {
  local name=$1 subject=$2 extension extensions=()
  shift 2
  for extension; do extensions+=(-addext "$extension"); done
  key "$name"
  openssl req -new -key "$name.key" -out "$database/$name.csr" -subj "/CN=$subject" "${extensions[@]}"
  openssl ca -batch -notext -config "$database/ca.cnf" -selfsign -keyfile "$name.key" -in "$database/$name.csr" \
    -out "$name.pem" -startdate 20200101000000Z -enddate 21231231000000Z 2>/dev/null
}
sign_itself ca "Sockeye test CA" basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign,cRLSign
sign_itself self-signed localhost "subjectAltName=$NAMES" basicConstraints=critical,CA:FALSE

# Issues a certificate: NAME COMMON-NAME EXTENSION START END
issue() {
  key "$1"
  openssl req -new -key "$1.key" -out "$database/$1.csr" -subj "/CN=$2" -addext "$3" \
    -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth,clientAuth
  openssl ca -batch -notext -config "$database/ca.cnf" -cert ca.pem -keyfile ca.key -in "$database/$1.csr" \
    -out "$1.pem" -startdate "$4" -enddate "$5" 2>/dev/null
}
issue server localhost "subjectAltName=$NAMES" 20240101000000Z 21231231000000Z
issue renewed localhost "subjectAltName=$NAMES" 20240101000000Z 21231231000000Z
issue expired localhost "subjectAltName=$NAMES" 20200101000000Z 20210101000000Z
issue other other.example subjectAltName=DNS:other.example 20240101000000Z 21231231000000Z
issue client alice subjectAltName=DNS:alice.example 20240101000000Z 21231231000000Z
