#!/usr/bin/env bash
# The path of something that Maven Central carries, fetched once and kept in ~/.cache/trade2026:
#
#   tests/maven.sh org.questdb:questdb:9.3.4
set -euo pipefail

IFS=: read -r group name version type <<<"$1"
cache=${HOME:-/root}/.cache/trade2026
kept=$cache/$name-$version.${type:-jar}
if [[ ! -s $kept ]]; then
    mkdir -p "$cache"
    mvn --batch-mode --quiet dependency:copy "-Dartifact=$1" "-DoutputDirectory=$cache" >&2
    [[ -s $kept ]] || { echo "Maven did not bring $1" >&2; exit 1; }
fi
echo "$kept"
