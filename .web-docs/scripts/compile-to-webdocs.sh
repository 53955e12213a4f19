#!/usr/bin/env bash
# Renders docs/ into the form that HashiCorp's Packer integrations read:
# .web-docs/README.md and .web-docs/components/<type>/<slug>/README.md, with the
# option tables filled in and without front matter and title.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go tool packer-sdc renderdocs -src docs -partials docs-partials/ -dst "$work" 2>/dev/null
if grep -rn "^@include" "$work" --include='*.mdx'; then
  echo "the partials above do not exist" >&2
  exit 1
fi

# body FILE: what follows the front matter and the first heading
body() {
  awk 'NR == 1 && /^---$/ { front = 1; next }
       front && /^---$/ { front = 0; next }
       front { next }
       !titled && /^# / { titled = 1; next }
       titled || NF { titled = 1; print }' "$1" | sed '/./,$!d'
}

rm -rf .web-docs/components
cp "$work/README.md" .web-docs/README.md
for kind in builders:builder provisioners:provisioner post-processors:post-processor; do
  for page in "$work/${kind%%:*}"/*.mdx; do
    target=.web-docs/components/${kind##*:}/$(basename "$page" .mdx)
    mkdir -p "$target"
    body "$page" >"$target/README.md"
    echo "$target/README.md"
  done
done
