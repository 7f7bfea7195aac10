#!/usr/bin/env bash
# Runs every fuzzer of the tree for the time given (default 30s), one after the other, and ends with a count.
set -u -o pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
passed=0 failed=0
while IFS=: read -r file name; do
  echo "--- $file $name ($time)"
  if go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x "./$(dirname "$file")"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done < <(git ls-files '*_test.go' | xargs grep -Eo 'func Fuzz[A-Za-z0-9_]*' | sed 's/func //')
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
