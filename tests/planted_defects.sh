#!/bin/sh
# planted_defects.sh SOURCE_DIR BIN_DIR CLANG OCLGRIND: the checks that read kernels turn red when they should. Copies the kernels, plants
# one defect at a time, and runs the check that has to find it: a data race and a read out of bounds under Oclgrind, and a
# construct that OpenCL C 1.2 does not have in portable_kernels.sh. The same checks pass without the defect, or this fails too.
# (A leak is the sanitizers' to find: see .ci/run.) Status 77: skipped.
set -eu
source=$1 bin=$2 clang=$3 oclgrind=$4
for tool in "$clang" "$oclgrind"; do
    command -v "$tool" >/dev/null 2>&1 || {
        echo "planted_defects: SKIPPED, there is no $tool here"
        exit 77
    }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# plant FILE SED_SCRIPT: fresh kernels with a change, which has to change something.
plant() {
    rm -rf "$work/kernels"
    cp -r "$source/kernels_cl" "$work/kernels"
    sed -i "$2" "$work/kernels/$1"
    [ -z "$2" ] || ! cmp -s "$source/kernels_cl/$1" "$work/kernels/$1" || {
        echo "planted_defects: '$2' changes nothing in $1; it is out of date"
        exit 1
    }
}

simulate() { # TEST
    TESSERA_KERNEL_DIR=$work/kernels TESSERA_DEVICE=oclgrind TESSERA_TEST_TINY=1 OCL_ICD_VENDORS='' XDG_CACHE_HOME=$work/cache \
        "$oclgrind" --data-races --uniform-writes --build-options -cl-opt-disable --max-errors 20 "$bin/$1" >"$work/log" 2>&1 || true
}

parse() { # only these two kernels and what they include, to be quick
    mkdir -p "$work/few"
    rm -f "$work/few"/*
    cp "$work/kernels"/*.clh "$work/kernels/optim.cl" "$work/kernels/mse.cl" "$work/few"
    sh "$source/tests/portable_kernels.sh" "$clang" "$work/few" >"$work/log" 2>&1
}

failed=0
verdict() { # WHAT FOUND(0: yes) WANTED(0: yes)
    if [ "$2" = "$3" ]; then
        echo "planted_defects: $1: as it should"
    else
        failed=1
        echo "planted_defects: $1: NOT as it should"
        tail -n 20 "$work/log"
    fi
}
found() { # PATTERN
    if grep -Eq "$1" "$work/log"; then echo 0; else echo 1; fi
}

trouble='data race|Invalid (read|write|memory)|divergence detected|OCLGRIND FATAL'
plant softmax_xent.cl ''
simulate test_softmax_xent
verdict "softmax_xent passes as it is" "$(found "$trouble")" 1
plant softmax_xent.cl '0,/barrier(CLK_LOCAL_MEM_FENCE);/s///'
simulate test_softmax_xent
verdict "a lost barrier is a data race" "$(found 'data race')" 0

plant optim.cl ''
simulate test_optim
verdict "optim passes as it is" "$(found "$trouble")" 1
plant optim.cl 's/velocity\[rest\];/velocity[rest + 4096];/'
simulate test_optim
verdict "an index too large is an invalid read" "$(found 'Invalid read')" 0

plant optim.cl ''
status=0
parse || status=1
verdict "the kernels are portable as they are" $status 0
plant optim.cl 's/float v = velocity\[rest\];/float v = (float)((double)velocity[rest] * 1.0);/'
status=0
parse || status=1
verdict "double is not portable" $status 1
exit $failed
