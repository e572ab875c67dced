#!/bin/sh
# What the GPU configurations that Tessera ships (host/db/portfolio/any-gpu.jsonl) take of registers and local memory, by LLVM's back ends
# and NVIDIA's assembler: recorded in host/db/portfolio/any-gpu-registers.txt.
#
#   portfolio_registers.sh check ROOT    the record has a line for each shipped configuration and none else; says so if the kernel's source
#                                        has changed since, which is no failure: an edit rarely moves the numbers
#   portfolio_registers.sh write ROOT    makes it anew: needs clang and libclc of one version (CLANG=clang-15, CLC=/usr/lib/clc), and ptxas
#                                        for NVIDIA's registers ("-" without it); takes minutes
set -eu
action=$1 root=$2
kernel=$root/kernels_cl/conv_igemm.cl
portfolio=$root/host/db/portfolio/any-gpu.jsonl
record=$root/host/db/portfolio/any-gpu-registers.txt
clang=${CLANG:-clang-15} clc=${CLC:-/usr/lib/clc} ptxas=${PTXAS:-ptxas}

configurations() {
    sed -n 's/.*"config": "\([^"]*\)".*/\1/p' "$portfolio" | sort -u
}

source_hash() {
    sha256sum "$kernel" | cut -c1-64
}

check() {
    recorded=$(sed -n 's/^# conv_igemm.cl: //p' "$record")
    if [ "$recorded" != "$(source_hash)" ]; then
        echo "portfolio_registers: NOTE: conv_igemm.cl has changed since they were recorded; run: tests/portfolio_registers.sh write ."
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    configurations >"$work/shipped"
    sed '/^#/d; s/ .*//' "$record" | sort -u >"$work/recorded"
    if ! diff "$work/shipped" "$work/recorded"; then
        echo "portfolio_registers: the record is not of the shipped configurations (<: shipped, >: recorded); run:" \
            "tests/portfolio_registers.sh write ."
        exit 1
    fi
    echo "portfolio_registers: $(wc -l <"$work/shipped") configurations, all recorded"
}

# conv_igemm_fwd__mwg128_nwg64... -> -DPASS=0 -DMWG=128 -DNWG=64 ...; another algorithm is an error: its options are made elsewhere.
options() {
    case $1 in
    conv_igemm_fwd__*) pass=0 ;;
    conv_igemm_bwd_data__*) pass=1 ;;
    conv_igemm_bwd_weights__*) pass=2 ;;
    *)
        echo "portfolio_registers: $1: no options known for this algorithm; teach options() in $0" >&2
        return 1
        ;;
    esac
    printf '%s' "-DPASS=$pass"
    printf '%s\n' "${1#*__}" | tr '_' '\n' | while read -r value; do
        name=$(printf '%s' "$value" | sed 's/[0-9]*$//' | tr '[:lower:]' '[:upper:]')
        printf ' -D%s=%s' "$name" "${value##*[a-z]}"
    done
}

compile() { # TARGET LIBRARY OUT OPTIONS
    target=$1 library=$2 out=$3 words=$4
    # shellcheck disable=SC2086 # words
    "$clang" -x cl -cl-std=CL1.2 --target=$target -nogpulib -w -Xclang -finclude-default-header -Xclang -mlink-builtin-bitcode \
        -Xclang "$clc/$library" -O3 -I"$root/kernels_cl" $words -S -o "$out" "$kernel" 2>"$work/log" || {
        cat "$work/log" >&2
        exit 1
    }
}

# Numbers of one kernel from the metadata of AMD's assembly: vgpr sgpr lds scratch.
amd() { # KERNEL FILE
    awk -v want="$1" '
        $1 == ".group_segment_fixed_size:" { lds = $2 }
        $1 == ".name:" { name = $2 }
        $1 == ".private_segment_fixed_size:" { scratch = $2 }
        $1 == ".sgpr_count:" { sgpr = $2 }
        $1 == ".vgpr_count:" { vgpr = $2 }
        $1 == ".wavefront_size:" && name == want { printf "%s %s %s %s", vgpr, sgpr, lds, scratch }' "$2"
}

# registers, shared memory, spilled bytes (stores and loads).
nvidia() { # KERNEL FILE
    if ! command -v "$ptxas" >/dev/null 2>&1; then
        printf '%s' "- - -"
        return
    fi
    "$ptxas" -v -arch=sm_80 -o /dev/null "$2" 2>&1 | awk -v want="'$1'" '
        /Compiling entry function/ { here = index($0, want) > 0 }
        here && /spill/ {
            for (i = 1; i < NF; i++)
                if ($(i + 1) == "bytes" && $(i + 2) == "spill") spill += $i
        }
        here && /Used/ {
            for (i = 1; i < NF; i++) {
                if ($(i + 1) ~ /^registers/) registers = $i
                if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i
            }
            printf "%s %s %s", registers, shared + 0, spill + 0
            exit
        }'
}

write() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    tools=$("$clang" --version | sed -n '1s/.*version \([0-9.]*\).*/clang \1/p')
    ! command -v "$ptxas" >/dev/null 2>&1 || tools="$tools, ptxas $("$ptxas" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')"
    {
        echo "# Registers and local memory of the shipped GPU configurations; made by tests/portfolio_registers.sh write, $tools."
        echo "# Nothing here was run: AMD's and NVIDIA's own drivers compile with other versions, and may take more or fewer."
        echo "# conv_igemm.cl: $(source_hash)"
        echo "# gfx906 (64 wide), gfx1030 (32 wide): vector and scalar registers a work-item, bytes of local memory a work-group, bytes of"
        echo "# scratch a work-item (spilled registers). sm_80, from nvptx64 code: registers a work-item, bytes of shared memory, bytes spilled."
        echo "# configuration | gfx906: vgpr sgpr lds scratch | gfx1030: vgpr sgpr lds scratch | sm_80: registers shared spilled"
        configurations | while read -r name; do
            words=$(options "$name")
            main=${name%%__*}
            compile "amdgcn-amd-amdhsa -mcpu=gfx906" amdgcn--amdhsa.bc "$work/906.s" "$words"
            compile "amdgcn-amd-amdhsa -mcpu=gfx1030" amdgcn--amdhsa.bc "$work/1030.s" "$words"
            compile "nvptx64-nvidia-nvcl -Xclang -target-cpu -Xclang sm_80" nvptx64--nvidiacl.bc "$work/nv.ptx" "$words"
            echo "$name | $(amd "$main" "$work/906.s") | $(amd "$main" "$work/1030.s") | $(nvidia "$main" "$work/nv.ptx")"
        done
    } >"$work/record"
    mv "$work/record" "$record"
}

case $action in
check | write) "$action" ;;
*)
    echo "usage: portfolio_registers.sh check|write ROOT" >&2
    exit 2
    ;;
esac
