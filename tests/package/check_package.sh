#!/bin/sh
# check_package.sh CMAKE GENERATOR CC BUILD WORK: installs BUILD into WORK/moved and checks what an application gets:
# pkg-config and CMake, shared and static; and which names the libraries show.
set -eu
cmake=$1 generator=$2 cc=$3 build=$4 work=$5
source=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "package: $*" >&2
    exit 1
}

rm -rf "$work"
mkdir -p "$work"
"$cmake" --install "$build" --prefix "$work/prefix" >/dev/null
mv "$work/prefix" "$work/moved" # the tree must not remember where it was installed
prefix=$work/moved

lib=$(dirname "$(find "$prefix" -name libtessera.a)")
for file in "$prefix/include/tessera.h" "$prefix/bin/tessera" "$lib/libtessera.so" "$lib/libtessera.so.0"; do
    [ -e "$file" ] || fail "$file is missing"
done
"$prefix/bin/tessera" devices >/dev/null || fail "the installed command does not run"

others=$(nm -D --defined-only "$lib/libtessera.so" | awk '$3 !~ /^tess_/ { print $3 }')
[ -z "$others" ] || fail "libtessera.so exports" "$others"
others=$(nm -g --defined-only "$lib/libtessera.a" 2>/dev/null | awk 'NF == 3 && $3 !~ /^tess_/ { print $3 }')
[ -z "$others" ] || fail "libtessera.a exports" "$others"
for name in $(sed 's|/\*.*||' "$prefix/include/tessera.h" | grep -o 'tess_[a-z0-9_]*(' | tr -d '('); do
    nm -D --defined-only "$lib/libtessera.so" | grep -q " T $name\$" || fail "$name is declared, not defined"
done

PKG_CONFIG_PATH=$lib/pkgconfig
LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH LD_LIBRARY_PATH

# shellcheck disable=SC2046 # flags are words
"$cc" -std=c11 "$source/consumer.c" -o "$work/shared" $(pkg-config --cflags --libs tessera)
"$work/shared" || fail "pkg-config, shared: exit status $?"

# shellcheck disable=SC2046
"$cc" -std=c11 "$source/consumer.c" -o "$work/static" $(pkg-config --cflags --libs tessera-static)
LD_LIBRARY_PATH='' "$work/static" || fail "pkg-config, static: exit status $?"

"$cmake" -G "$generator" -S "$source" -B "$work/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" ||
    { cat "$work/log"; fail "find_package(tessera)"; }
"$cmake" --build "$work/build" >"$work/log" || { cat "$work/log"; fail "build by CMake"; }
"$work/build/consumer_shared" || fail "CMake, shared: exit status $?"
LD_LIBRARY_PATH='' "$work/build/consumer_static" || fail "CMake, static: exit status $?"
