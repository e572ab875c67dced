#!/bin/sh
# readme_commands.sh README BUILD_DIR: runs every command that README shows (the lines indented by four spaces), in order, in a folder
# of its own, on a CPU, with small networks and short searches put in place of the long ones. A command that ends with another status
# than 0, or that this script has no way to run, is an error.
set -u
readme=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
build=$(cd "$2" && pwd)
source=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export XDG_DATA_HOME="$work/data" XDG_CACHE_HOME="$work/cache"
export POCL_CACHE_DIR="${POCL_CACHE_DIR:-$build/test-cache/pocl}"
export TESSERA_DEVICE="${TESSERA_DEVICE:-cpu}" RUSTICL_ENABLE=llvmpipe
mkdir -p "$POCL_CACHE_DIR" "$XDG_DATA_HOME" "$XDG_CACHE_HOME"

# A digit to recognise: 28 x 28 grey pixels.
png() {
    base64 -d >"$work/digit.png" <<'END'
iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAF0lEQVR42mNgGGDwHwhGJUclKZGkEwAAa65PsZyBXroAAAAASUVORK5CYII=
END
}

# A model for the commands that take one, and an input for it.
model() {
    "$build/bin/tessera" export lenet5-relu --out "$work/model.onnx" >/dev/null || exit 1
    {
        printf '\223NUMPY\001\000v\000'
        printf '%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 28, 28), }"
        head -c $((4 * 28 * 28)) /dev/zero
    } >"$work/cat.npy"
}

# Commands, one a line: continued lines joined, comments cut.
commands() {
    awk '/^    / {
        sub(/^    /, "")
        sub(/ +# .*/, "")
        if (sub(/\\$/, "")) { held = held $0; next }
        print held $0
        held = ""
    }' "$readme"
}

# What would take minutes becomes what takes seconds; placeholders become real.
shrink() {
    printf '%s\n' "$1" | sed \
        -e "s|/tmp/|$work/|g" -e "s|build/bin/|$build/bin/|g" \
        -e 's#\(mnist\|cifar10\):DIR#synthetic:digits,count=600#g' -e 's|--freeze-until layer3|--freeze-until conv1|' \
        -e 's|image=cat.npy|input=cat.npy|' -e 's|^\(.*/tessera --kernels .*\)$|\1 --epochs 1|' -e 's|^\(.*/tessera train model.onnx .*\)$|\1 --epochs 1|' \
        -e 's|--val-last [0-9]*|--val-last 100|' -e 's|--epochs [0-9]*|--epochs 1|' \
        -e 's/\(resnet18\|resnet50\|vgg16\|googlenet\|alexnet\)/lenet5-relu/g' -e 's|--batch 8|--batch 2|' -e 's|--mode rapid|--budget 0.5|' \
        -e 's|n8c64h56w56k64r3s3pt1pb1pl1pr1|n1c4h8w8k16r3s3pt1pb1pl1pr1 --budget 0.5|' -e 's|n64c4096k4096|n4c64k64|' \
        -e 's|--clblast [0-9]*|--budget 0.5|' -e 's|--device gpu \.\.\.|--device cpu devices|' \
        -e "s|^TESSERA_DEVICE=rusticl \.\.\.|TESSERA_DEVICE=rusticl $build/bin/tessera devices|" \
        -e 's|plan \.\.\.|plan lenet5-relu|' -e 's|db export FILE|db export rows.jsonl|' -e 's|/tessera doctor|/tessera doctor --budget 5|'
}

# Why a command is not run here; nothing if it is.
reason() {
    case $1 in
    './run test'* | .ci/run* | ctest* | 'cmake '*) echo "other stages of CI do it" ;;
    'python3 bench/'*) echo "it needs PyTorch and minutes" ;;
    esac
}

png
model
cd "$work" || exit 1
ln -s "$source/tests" tests
commands >list
count=0 failed=0
while read -r command; do
    why=$(reason "$command")
    if [ -n "$why" ]; then
        echo "readme: not run: $command ($why)"
        continue
    fi
    short=$(shrink "$command")
    case $command in
    ./run*) short="cd '$source' && $command" ;;
    esac
    echo "readme: $short"
    count=$((count + 1))
    sh -c "$short" >log 2>&1 </dev/null || {
        failed=$((failed + 1))
        echo "readme: FAILED: $command"
        tail -n 20 log
    }
done <list
echo "readme: $count commands run, $failed failed"
[ $count -ge 15 ] && [ $failed = 0 ]
