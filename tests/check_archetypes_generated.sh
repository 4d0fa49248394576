#!/bin/sh
# What is derived from the table of archetypes is what the table says, and the check notices when it is not.
set -eu
cd "$RK_SOURCE_DIR"
scripts/gen-archetypes --check
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for file in format/archetypes.txt format/archetype_table.h format/archetype_table.c include/rrdkit/archetypes.h writer/archetype_calls.c; do
  mkdir -p "$copy/$(dirname "$file")"
  cp "$file" "$copy/$file"
done
scripts/gen-archetypes --check "$copy"
sed -i 's/^  sample  *VideoSample/  sample VideoSamples/;s/^component VideoSample /component VideoSamples /' "$copy/format/archetypes.txt"
if scripts/gen-archetypes --check "$copy" 2>/dev/null; then
  echo "check_archetypes_generated: a changed table went unnoticed" >&2
  exit 1
fi
scripts/gen-archetypes "$copy"
scripts/gen-archetypes --check "$copy"
echo "generated files agree with format/archetypes.txt"
