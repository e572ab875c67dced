#!/bin/sh
# bench/gate_trial.sh [TRIES [UNCHANGED]]: how often the regression gate sees a planted slowdown of 10 %, and how often it cries wolf.
#
# The forward kernel of the direct algorithm is changed so that every tenth row is computed twice; the backward-data kernel stays as it is.
# TRIES (10) runs with that kernel are compared with as many runs of the unchanged one, and UNCHANGED (20) pairs of
# unchanged runs with each other; half a minute a run. TESSERA: the command, "build/bin/tessera" by default.
set -eu
cd "$(dirname "$0")/.."
tries=${1:-10} unchanged=${2:-20}
tessera=${TESSERA:-build/bin/tessera}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_DATA_HOME="$work/data" # no tuning database: both sides plan the same

cp -r kernels_cl "$work/planted"
sed 's|^    for (int tile = 0; tile < Q; tile += WT) {|    for (int again = row % 10 == 0; again >= 0; again--) for (int tile = 0; tile < Q; tile += WT) {|' \
    kernels_cl/conv_direct.cl >"$work/planted/conv_direct.cl"
if cmp -s kernels_cl/conv_direct.cl "$work/planted/conv_direct.cl"; then
    echo "gate_trial: the forward kernel's loop is not what it was; correct the planted line" >&2
    exit 1
fi

# measure KERNELS FILE
measure() {
    # shellcheck disable=SC2086 # a command with its arguments
    TESSERA_KERNEL_DIR=$1 $tessera bench conv --problem n8c128h28w28k128r3s3pt1pb1pl1pr1 \
        --problem n8c64h56w56k64r1s1 --pass fwd,bwd_data --algo direct --gate --json "$2" >"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
}

flagged=0 rows=0 wrong=0
measure kernels_cl "$work/same0.json"
i=1
while [ "$i" -le "$tries" ]; do
    measure "$work/planted" "$work/planted.json"
    # shellcheck disable=SC2086
    $tessera bench compare "$work/same$((i - 1)).json" "$work/planted.json" --fail-above 5% \
        >"$work/table" 2>"$work/found" && status=0 || status=$?
    cat "$work/table"
    seen=$(grep -c ' fwd .* slower$' "$work/found" || true)
    [ "$status" = 0 ] || flagged=$((flagged + 1))
    rows=$((rows + seen))
    wrong=$((wrong + $(grep -c ' bwd_data .* slower$' "$work/found" || true)))
    rm "$work/planted.json"
    measure kernels_cl "$work/same$i.json"
    i=$((i + 1))
done
echo "planted: flagged in $flagged of $tries tries ($rows of $((2 * tries)) slow rows; $wrong rows that are not slow)"

while [ "$i" -le "$unchanged" ]; do
    measure kernels_cl "$work/same$i.json"
    i=$((i + 1))
done
alarms=0 i=1
while [ "$i" -le "$unchanged" ]; do
    # shellcheck disable=SC2086
    $tessera bench compare "$work/same$((i - 1)).json" "$work/same$i.json" --fail-above 5% \
        >"$work/table" 2>&1 || { alarms=$((alarms + 1)); cat "$work/table"; }
    i=$((i + 1))
done
echo "unchanged: flagged in $alarms of $unchanged comparisons"
[ "$flagged" = "$tries" ] && [ "$alarms" = 0 ]
