#!/bin/sh
# source.sh SUITE PACKAGE DIR - the upstream source of a package in a suite of Debian,
# unpacked to DIR. It comes from the mirror this system uses, by an apt root of its own:
# no root rights are needed, and nothing of the system changes. What is there already is
# not fetched again. Exit 77, with the reason as the last line: not here.
set -u
suite=$1 package=$2 dir=$3
gone() { echo "$1"; exit 77; }

[ ! -f "$dir/.unpacked" ] || exit 0
for tool in apt-get dpkg tar xz; do
    command -v $tool >/dev/null 2>&1 || gone "$tool is not here"
done
mkdir -p "$dir" && dir=$(cd "$dir" && pwd) || exit 1
root=$dir.apt
trap 'rm -rf "$root"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$root/lists/partial" "$root/cache/archives/partial" "$root/none" "$root/source" || exit 1
: >"$root/status"

# The system's own line for the main archive, in either of the two forms it may have.
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources \
    2>/dev/null | awk -v suite="$suite" '
    function line(uri, by) {
        if (!done++) print "deb-src " (by ? "[signed-by=" by "] " : "") uri " " suite " main"
    }
    /^#/ { next }
    /^deb / { at = $2 ~ /^\[/ ? 3 : 2; by = ""
              if (at == 3 && match($2, /signed-by=[^],]*/)) by = substr($2, RSTART + 10, RLENGTH - 10)
              if ($at ~ /\/debian\/?$/ && $0 ~ / main/) line($at, by) }
    /^Types:/ { uri = by = main = "" }
    /^URIs:/ { uri = $2 }
    /^Components:/ { main = / main/ }
    /^Signed-By:/ { by = $2 }
    (/^$/ || /^Signed-By:/) && main && uri ~ /\/debian\/?$/ { line(uri, by) }
    ' >"$root/sources.list"
[ -s "$root/sources.list" ] || gone "no source of a Debian archive in /etc/apt"
cat >"$root/apt.conf" <<END_OF_CONF
Dir::State "$root";
Dir::State::Lists "$root/lists";
Dir::State::status "$root/status";
Dir::Cache "$root/cache";
Dir::Etc::sourcelist "$root/sources.list";
Dir::Etc::sourceparts "$root/none";
Dir::Etc::preferencesparts "$root/none";
APT::Sandbox::User "";
END_OF_CONF
export APT_CONFIG="$root/apt.conf"
cd "$root/source" || exit 1
apt-get -qq update >"$root/log" 2>&1 && apt-get -qq source --download-only "$package" >>"$root/log" 2>&1 ||
    gone "the source package $package of $suite cannot be had: $(grep -m 1 -E '^[EW]:' "$root/log")"
tar xf "$(ls | grep -E '\.orig\.tar\.(gz|xz|bz2)$')" --strip-components 1 -C "$dir" && : >"$dir/.unpacked"
