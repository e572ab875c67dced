#!/bin/sh
# portable_kernels.sh CLANG KERNEL_DIR: clang's OpenCL C 1.2 front end accepts every kernel file for AMD's and NVIDIA's GPUs and for
# SPIR, with its defaults and with typical sets of parameters. All extensions are switched off, so that what only one implementation
# accepts (PoCL: double, C99 that OpenCL leaves out) is an error. Only parsed: no machine code is made. "builtins": with the declarations
# of builtins.clh in place of the header, as host/core/program_quick.c builds for PoCL; a kernel that calls what they lack would be built
# twice there, which nobody would notice. Status 77: skipped.
set -eu
clang=$1 kernels=$2

# Expands `#include "x.clh"`, each file once, as the library does (host/core/program_source.c).
expand() {
    awk -v dir="$kernels" '
        function file(name,    path, line, part, number) {
            path = dir "/" name
            printf "#line 1 \"%s\"\n", name
            while ((getline line < path) > 0) {
                number++
                if (line !~ /^[ \t]*#[ \t]*include[ \t]*"/) {
                    print line
                    continue
                }
                split(line, part, "\"")
                if (!(part[2] in seen)) {
                    seen[part[2]] = 1
                    file(part[2])
                }
                printf "#line %d \"%s\"\n", number + 1, name
            }
            close(path)
        }
        BEGIN { file(ARGV[1]) }' "$1"
}

# Parameters of a file, one set a line: what host/ gives for CPUs and for GPUs, and each branch of the file once. Defaults are not
# listed: every file is parsed without parameters too.
sets() {
    case $1 in
    batch_norm.cl)
        echo "-DVEC=16 -DWIDE=4 -DLANES=1 -DCOLUMNS=16 -DACTIVATION=act_relu -DACTIVATION_GRAD=act_grad_relu -DRECOMPUTE=1"
        echo "-DVEC=4 -DWIDE=1 -DLANES=16 -DCOLUMNS=16 -DACTIVATION=act_tanh -DACTIVATION_GRAD=act_grad_tanh -DRECOMPUTE=0"
        ;;
    conv_depthwise.cl)
        echo "-DPASS=0 -DVEC=16 -DKV=2 -DWT=7 -DWG=1 -DMULTI=0 -DRAGGED=0"
        echo "-DPASS=0 -DVEC=1 -DKV=1 -DWT=2 -DWG=64 -DMULTI=1 -DRAGGED=0 -DFIX_R=3 -DFIX_S=3 -DFIX_U=2 -DFIX_V=2 -DFIX_D=1 -DFIX_E=1"
        echo "-DPASS=1 -DVEC=4 -DKV=2 -DWT=2 -DWG=64 -DMULTI=1 -DRAGGED=1"
        echo "-DPASS=2 -DVEC=4 -DKV=1 -DRT=3 -DST=3 -DQT=2 -DWG=64 -DMULTI=0 -DRAGGED=0"
        echo "-DPASS=2 -DVEC=8 -DKV=1 -DRT=1 -DST=5 -DQT=1 -DWG=128 -DMULTI=1 -DRAGGED=1"
        ;;
    conv_direct.cl)
        echo "-DPASS=0 -DWT=7 -DKV=2 -DNT=2 -DEDGE=1 -DSTEP=64"
        echo "-DPASS=0 -DWT=1 -DKV=1 -DNT=1 -DEDGE=0 -DSTEP=0"
        echo "-DPASS=1 -DWT=6 -DKV=4 -DNT=1 -DEDGE=2 -DSTEP=0"
        echo "-DPASS=2 -DKV=2 -DCT=6 -DST=1"
        echo "-DPASS=2 -DKV=1 -DCT=4 -DST=3"
        ;;
    conv_gemm1x1.cl)
        echo "-DMR=9 -DKV=3"
        echo "-DPASS=2 -DCT=4 -DKV=4 -DCOPY=2"
        echo "-DPASS=2 -DCT=12 -DKV=2 -DCOPY=1"
        echo "-DPASS=2 -DCT=8 -DKV=2 -DCOPY=0"
        ;;
    conv_generic.cl) echo "-DMIRROR=1" ;;
    conv_igemm.cl)
        echo "-DPASS=0 -DMWG=128 -DNWG=64 -DKWG=8 -DMWI=8 -DNWI=8 -DVEC=4 -DDB=1 -DSPLIT=1"
        echo "-DPASS=0 -DMWG=32 -DNWG=32 -DKWG=16 -DMWI=4 -DNWI=4 -DVEC=1 -DDB=0 -DSPLIT=4"
        echo "-DPASS=1 -DMWG=64 -DNWG=128 -DKWG=16 -DMWI=8 -DNWI=8 -DVEC=2 -DDB=0 -DSPLIT=1"
        echo "-DPASS=1 -DMWG=64 -DNWG=64 -DKWG=8 -DMWI=4 -DNWI=8 -DVEC=4 -DDB=1 -DSPLIT=16"
        echo "-DPASS=2 -DMWG=64 -DNWG=64 -DKWG=8 -DMWI=8 -DNWI=8 -DVEC=4 -DDB=1 -DSPLIT=64"
        echo "-DPASS=2 -DMWG=32 -DNWG=64 -DKWG=16 -DMWI=4 -DNWI=4 -DVEC=1 -DDB=0 -DSPLIT=1"
        ;;
    conv_smallc.cl)
        echo "-DPASS=0 -DC=3 -DR=7 -DS=7 -DU=2 -DV=2 -DKV=4 -DBAND=4 -DWT=7 -DSTREAM=1 -DTAIL=0"
        echo "-DPASS=0 -DC=1 -DR=5 -DS=5 -DU=1 -DV=1 -DKV=1 -DBAND=1 -DWT=14 -DSTREAM=0 -DTAIL=6"
        echo "-DPASS=2 -DC=3 -DR=3 -DS=3 -DU=1 -DV=1 -DKV=2 -DBAND=4 -DRT=3 -DT=9"
        ;;
    conv_winograd.cl)
        echo "-DTILE=4 -DWT=4 -DKV=2 -DFUSED=1 -DVEC=1"
        echo "-DTILE=4 -DWT=7 -DKV=4 -DFUSED=0 -DVEC=16"
        echo "-DTILE=2 -DWT=9 -DKV=2 -DFUSED=1 -DVEC=16"
        echo "-DTILE=2 -DWT=4 -DKV=1 -DFUSED=0 -DVEC=1"
        ;;
    conv_winograd_weights.cl)
        echo "-DM=4 -DCB=64 -DKB=32 -DCT=8 -DKV=2 -DTB=32"
        echo "-DM=2 -DCB=32 -DKB=32 -DCT=4 -DKV=1 -DTB=16"
        ;;
    eltwise.cl | prelu.cl | reduce.cl)
        echo "-DVEC=1"
        echo "-DVEC=4"
        echo "-DVEC=16"
        ;;
    layout.cl) echo "-DTILE=8" ;;
    lrn.cl)
        echo "-DVEC=16 -DCHUNK=8 -DHALO=1 -DBETA_75=1"
        echo "-DVEC=4 -DCHUNK=1 -DHALO=2 -DBETA_75=0"
        ;;
    mse.cl)
        echo "-DVEC=16 -DSTEPS=16 -DGROUP=1 -DLANES=64"
        echo "-DVEC=4 -DSTEPS=16 -DGROUP=64 -DLANES=1"
        ;;
    nd_binary.cl)
        echo "-DVEC=16"
        echo "-DVEC=1 -DOP=7"
        ;;
    nd_copy.cl)
        echo "-DVEC=16 -DBYTES=1 -DACROSS=4 -DALONG=4 -DTILE=16"
        echo "-DVEC=4 -DBYTES=4 -DACROSS=1 -DALONG=1 -DTILE=8"
        echo "-DVEC=1 -DBYTES=8"
        ;;
    nd_matmul.cl)
        echo "-DVEC=16 -DMT=6 -DNT=2 -DDEPTH=256"
        echo "-DVEC=16 -DMT2=4 -DNT2=4"
        echo "-DVEC=1 -DMT=4 -DNT=1"
        ;;
    nd_select.cl)
        echo "-DVEC=16 -DBYTES=1 -DINDEX=4"
        echo "-DVEC=1 -DBYTES=8 -DINDEX=8"
        ;;
    nd_softmax.cl)
        echo "-DVEC=16 -DLOG=1 -DINNER=1"
        echo "-DVEC=16 -DLOG=0 -DINNER=0"
        echo "-DVEC=1 -DLOG=1 -DINNER=0"
        ;;
    nd_taps.cl) echo "-DVEC=16 -DBATCH=4" ;;
    nd_reduce.cl)
        echo "-DVEC=16 -DACROSS=4 -DCOMBINE=1"
        echo "-DVEC=4 -DACROSS=1 -DCOMBINE=2"
        echo "-DVEC=1 -DACROSS=1 -DCOMBINE=3"
        ;;
    nd_unary.cl)
        echo "-DVEC=1"
        for op in 13 14 15 16 17 18 19 20; do echo "-DVEC=16 -DOP=$op"; done
        ;;
    pool.cl)
        echo "-DVEC=16 -DWHOLE=1 -DCELLS=1"
        echo "-DVEC=4 -DWHOLE=0 -DCELLS=1"
        echo "-DVEC=8 -DWHOLE=0 -DCELLS=0"
        echo "-DVEC=1 -DWHOLE=1 -DCELLS=0"
        ;;
    roof_copy.cl) echo "-DRUN=64" ;;
    roof_fma.cl)
        echo "-DLANES=1 -DCHAINS=8"
        echo "-DLANES=4 -DCHAINS=8"
        ;;
    roof_local.cl | yardstick.cl)
        echo "-DV=4"
        echo "-DV=16"
        ;;
    softmax_xent.cl) echo "-DLANES=32 -DROWS=4" ;;
    esac
}

# A set must be of today's parameters. Prints those that the program does not know.
unknown_parameters() { # FILE OPTIONS...
    program=$1
    shift
    awk -v options="$*" '
        { gsub(/[^A-Za-z0-9_]+/, " "); words = words " " $0 " " }
        END {
            count = split(options, option, " ")
            for (i = 1; i <= count; i++) {
                name = option[i]
                sub(/^-D/, "", name)
                sub(/=.*/, "", name)
                # The program pastes the names FIX_... together.
                if (name !~ /^FIX_/ && !index(words, " " name " ")) print "there is no parameter " name
            }
        }' "$program"
}

accepts() { # TARGET FILE OPTIONS...
    target=$1 file=$2
    shift 2
    if [ "$target" = builtins ]; then
        "$clang" -cc1 -x cl -cl-std=CL1.2 -triple spir64-unknown-unknown -internal-isystem "$resources/include" \
            -include opencl-c-base.h -include "$kernels/builtins.clh" -cl-ext=-all -fsyntax-only "$@" "$file"
        return
    fi
    "$clang" -x cl -cl-std=CL1.2 --target="$target" -nogpulib -Xclang -finclude-default-header -Xclang -cl-ext=-all -fsyntax-only \
        -pedantic-errors "$@" "$file"
}

refuse() { # WHAT: counts, and prints the log
    failed=$((failed + 1))
    echo "portable_kernels: $1"
    head -n 20 "$work/log"
}

command -v "$clang" >/dev/null 2>&1 || {
    echo "portable_kernels: SKIPPED, there is no clang here; install it to check the kernels for GPUs"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "kernel void nothing(global float *x) { x[get_global_id(0)] = 0.0f; }" >"$work/probe.cl"
resources=$("$clang" -print-resource-dir)
targets=""
for target in amdgcn-amd-amdhsa nvptx64-nvidia-nvcl spir64-unknown-unknown builtins; do
    if accepts $target "$work/probe.cl" >"$work/log" 2>&1; then
        targets="$targets $target"
    else
        echo "portable_kernels: $target: left out, this clang does not know it or has no OpenCL header"
    fi
done
if [ -z "$targets" ]; then
    echo "portable_kernels: SKIPPED, clang parses OpenCL for no GPU here"
    exit 77
fi

checked=0 failed=0
for path in "$kernels"/*.cl; do
    name=${path##*/}
    expand "$name" >"$work/$name"
    { echo && sets "$name"; } >"$work/sets"
    while read -r options; do
        # shellcheck disable=SC2086 # words
        unknown_parameters "$work/$name" $options >"$work/log"
        [ ! -s "$work/log" ] || refuse "$name $options"
        for target in $targets; do
            checked=$((checked + 1))
            # shellcheck disable=SC2086
            accepts "$target" "$work/$name" $options >"$work/log" 2>&1 || refuse "$target: $name $options"
        done
    done <"$work/sets"
done
echo "portable_kernels: $checked programs, $failed refused"
[ $failed = 0 ]
