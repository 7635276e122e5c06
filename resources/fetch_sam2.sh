#!/usr/bin/env bash
# Download Meta's SAM2.1-Small checkpoint, resuming an interrupted download, and check its sha256.
#
#   resources/fetch_sam2.sh [DESTINATION]   default: resources/sam2.1_hiera_small.pt
#   SAM2_WEIGHTS=FILE                       another list in the form of resources/upstream_weights.txt (a mirror)
set -euo pipefail
resources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=sam2.1_hiera_small.pt
destination=${1:-$resources/$name}
list=${SAM2_WEIGHTS:-$resources/upstream_weights.txt}

fail() {
    echo "error: $*" >&2
    exit 1
}

command -v curl >/dev/null || fail "curl: expected it installed, found none"
read -r sum bytes url < <(grep -E "^[0-9a-f]{64} [0-9]+ [^ ]*/$name\$" "$list") ||
    fail "$list: expected a line 'sha256 bytes URL' for $name, found none"

has_the_sum() {
    echo "$sum  $1" | sha256sum --check --status
}

if [[ -f $destination ]]; then
    has_the_sum "$destination" || fail "$destination: expected sha256 $sum, found another; move it away to download again"
    echo "$destination is already there and has the right checksum" >&2
    exit 0
fi
mkdir -p "$(dirname "$destination")"
part=$destination.part
have=0
if [[ -f $part ]]; then
    have=$(wc -c <"$part")
fi
if ((have < bytes)); then
    echo "downloading $url ($((bytes / 1000000)) MB, $((have / 1000000)) MB of it already here)" >&2
    curl --fail --location --show-error --progress-bar --retry 3 --continue-at - --output "$part" "$url" ||
        fail "$url: expected $bytes bytes, found no complete download (curl's exit code $?); run this again to resume"
fi
if ! has_the_sum "$part"; then
    found=$(sha256sum <"$part")
    rm -f "$part" # resuming a wrong file could never end well
    fail "$url: expected sha256 $sum, found ${found%% *}; the download was deleted"
fi
mv "$part" "$destination"
echo "wrote $destination" >&2
