#!/bin/bash
# Builds every target with its seeds, as OSS-Fuzz expects it: the programs, and a zip file of seeds for each, in $OUT.
# See https://google.github.io/oss-fuzz/getting-started/new-project-guide/rust-lang.
set -eu
cd "$(dirname "$0")"
: "${OUT:?must name the folder for the programs}"
# OSS-Fuzz sets the nightly compiler that it has.
export RUSTUP_TOOLCHAIN="${RUSTUP_TOOLCHAIN:-nightly}"

cargo fuzz build -O --debug-assertions
host=$(rustc -vV | sed -n 's/host: //p')
for target in $(cargo fuzz list); do
  cp "${CARGO_TARGET_DIR:-target}/$host/release/$target" "$OUT/"
  zip -q -j "$OUT/${target}_seed_corpus.zip" seeds/"$target"/*
done
